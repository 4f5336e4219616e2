"""Kinds of sections of a study's report, one file each. This folder is the registry: `lost_detail.py` is `lost-detail`.

A section shows what no criterion decides: further tables, figures and pictures of the runs and the caches of a study.
To add a kind, add a file with a class `Section` that derives from the one below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from foresight_cache.errors import ProbeError
from foresight_cache.registry import Registry
from foresight_probes.studies.parts import Shown

if TYPE_CHECKING:
    from foresight_probes.studies.evidence import Evidence
    from foresight_probes.studies.parts import Part
    from foresight_probes.studies.study import SectionRequest

_REGISTRY = Registry("foresight_probes.studies.sections", "kind of section", hyphens=True, variable="Section")


class Section(ABC):
    """A kind of section. It says which keys of a study file it needs and takes, and makes its parts from evidence."""

    needs: tuple[str, ...] = ()
    """Fields of `SectionRequest` that must be given, besides `kind` and `title`."""
    takes: tuple[str, ...] = ()
    """Fields that may be given."""
    reads_caches_alone: bool = False
    """True where it reads nothing of the evidence but its caches, so that it needs no study."""

    @abstractmethod
    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns what is shown; the same for the same evidence.

        Raises `ProbeError` with the reason where nothing can be.
        """


def names() -> tuple[str, ...]:
    """Lists the kinds in alphabetical order."""
    return _REGISTRY.names()


def load(name: str) -> Section:
    """Returns a kind. Raises `UnknownName` with the nearest names."""
    return cast(type[Section], _REGISTRY.component(name))()


def show_all(evidence: Evidence) -> list[Shown]:
    """Returns all sections of a study in the order of its file; each with the reason where there is nothing to show."""
    return [_shown(evidence, name, request) for name, request in evidence.study.sections.items()]


def _shown(evidence: Evidence, name: str, request: SectionRequest) -> Shown:
    try:
        parts = tuple(load(request.kind).parts(evidence, request))
    except ProbeError as error:
        return Shown(name=name, title=request.title, reason=str(error))
    return Shown(name=name, title=request.title, parts=parts, reason="" if parts else "nothing of it was measured")
