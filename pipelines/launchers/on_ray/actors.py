"""What runs on the nodes of a Ray cluster."""

import hashlib
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import foresight_cache
from foresight_cache.errors import ForesightError
from pipelines.launchers.work import Done, Piece, Work, Worker

Refusal = tuple[str, int]
"""Sentence and exit status of an error of ours: as a value, since Ray would wrap an exception in a traceback."""


class Actor:
    """Holds a worker; Ray runs its methods one after the other. Nothing of it goes through Ray but numbers."""

    def __init__(self, work: Work) -> None:
        self._worker: Worker | None = None
        self._refusal: Refusal | None = None
        try:
            self._worker = work.worker()
        except ForesightError as error:
            self._refusal = str(error), error.exit_status

    def begun(self) -> Refusal | None:
        """Returns why there is no worker; None where there is one."""
        return self._refusal

    def carry_out(self, pieces: Sequence[Piece], again: bool) -> Iterator[Done | Refusal]:
        """Yields pieces as they are finished, or at the end why they are not."""
        assert self._worker  # noqa: S101 - who was refused is given nothing
        try:
            yield from self._worker.carry_out(pieces, again=again)
        except ForesightError as error:
            yield str(error), error.exit_status


def versions() -> dict[str, str]:
    """Returns what must be the same on all nodes: of Python, of this package, and a digest of its code."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "foresight-cache": version("foresight-cache"),
        "code of foresight-cache": _code(),
        "torch": version("torch"),
    }


def _code() -> str:
    package = Path(foresight_cache.__file__).parent
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:12]
