"""Runs that failed, each with its point and the reason; those that would fail again are recorded in place of results.

A run is trained from the same numbers each time, so that one whose loss became infinite, or whose metric is not defined
on the samples at hand, would end so again. `RUNS/<task>/<point>/<run>.failed` says why, for the run of that identity.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.controls import parts

SUFFIX = ".failed"
FORMAT, VERSION = "foresight-probe-failure", 1
_DIVERGED = re.compile(r"the loss of .+ became -?(nan|inf)\b")
"""What `training.bank` says of a run whose loss or answers are no longer finite."""


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run without a result."""

    point: str
    reason: str
    is_undefined: bool = False
    """True where its metric is not defined on the samples at hand: nothing went wrong, and nothing is measured."""

    @property
    def diverged(self) -> bool:
        """Tells whether its training diverged.

        >>> FailedRun("", "the loss of boxes, mlp-seed0 became nan; use a smaller learning_rate").diverged
        True
        >>> FailedRun("", "LPIPS needs weights").diverged
        False
        """
        return bool(_DIVERGED.match(self.reason))

    @property
    def is_final(self) -> bool:
        """Tells whether it would end so again."""
        return self.is_undefined or self.diverged


class RunsFailed(ProbeError):
    """Runs of a sweep that failed; all others are finished."""

    def __init__(self, failures: Sequence[FailedRun]) -> None:
        """Takes the runs that failed, one at least; the first gives its sentence."""
        more = f" ({len(failures) - 1} more runs failed as well)" if len(failures) > 1 else ""
        super().__init__(failures[0].reason + more)
        self.failures = tuple(failures)

    def __reduce__(self) -> tuple[type["RunsFailed"], tuple[tuple[FailedRun, ...]]]:
        """Lets another process raise it."""
        return type(self), (self.failures,)

    @property
    def undefined(self) -> bool:
        """Tells whether nothing went wrong: there are metrics that are not defined on the samples at hand."""
        return all(own.is_undefined for own in self.failures)

    def diverged(self) -> dict[str, int]:
        """Returns how many runs' loss became infinite or undefined at each point, controls left out."""
        counts: dict[str, int] = {}
        for own in self.failures:
            if own.diverged and not parts(own.point)[1]:
                counts[own.point] = counts.get(own.point, 0) + 1
        return counts


def record_failure(failed: FailedRun, result: Path, identity: str) -> None:
    """Writes why the run whose result would be a file has none. Raises `ProbeError` where it cannot be written."""
    path = result.with_suffix(SUFFIX)
    fields = {"reason": failed.reason, "is_undefined": failed.is_undefined}
    record = {"format": FORMAT, "version": VERSION, "identity": identity, **fields}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode())
    except OSError as error:
        raise ProbeError(f"cannot write {path}: {error.strerror or error}") from error


def recorded_failure(point: str, result: Path, identity: str) -> FailedRun | None:
    """Returns why the run whose result would be a file has none; None for another run, and for a damaged record."""
    try:
        record = json.loads(result.with_suffix(SUFFIX).read_bytes())
        if (record["format"], record["version"], record["identity"]) != (FORMAT, VERSION, identity):
            return None
        return FailedRun(point, str(record["reason"]), bool(record["is_undefined"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
