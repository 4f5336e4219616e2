"""Benchmarks, one file per part of `foresight bench`. This folder is the registry: `probes.py` is the part `probes`.

A part has a function `run(folder, quick, given)` that measures in an empty folder, and says by `TAKES_GIVEN` whether it
takes a model and samples of the user's own. What it compares runs in the same process on the same data, in turn, since
only ratios travel.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from foresight_cache.registry import Registry
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure


class Part(Protocol):
    """A file of this folder."""

    TAKES_GIVEN: bool
    """True where a model and samples can be given."""

    def run(self, folder: Path, *, quick: bool, given: Given) -> Sequence[Figure]:
        """Measures in an empty folder; with `quick` in a fraction of the time, on less data."""
        ...


_REGISTRY = Registry(__name__, "benchmark")


def names() -> tuple[str, ...]:
    """Parts, by file name; nothing is imported."""
    return _REGISTRY.names()


def part(name: str) -> Part:
    """Raises `UnknownName`."""
    return cast(Part, _REGISTRY.module(name))
