"""Runs that failed, each with its point and the reason, so that a report can tell what became of training."""

import re
from collections.abc import Sequence

from foresight_cache.errors import ProbeError
from foresight_probes.controls import parts

_DIVERGED = re.compile(r"the loss of .+ became -?(nan|inf)\b")
"""What `training.bank` says of a run whose loss or answers are no longer finite."""


class RunsFailed(ProbeError):
    """Runs of a sweep that failed; all others are finished."""

    def __init__(self, message: str, failures: Sequence[tuple[str, str]] = ()) -> None:
        """Takes the sentence, and the point and the reason of each run that failed."""
        super().__init__(message, failures)
        self.failures = tuple(failures)

    def __str__(self) -> str:
        return str(self.args[0])

    def diverged(self) -> dict[str, int]:
        """Returns how many runs' loss became infinite or undefined at each point, controls left out."""
        counts: dict[str, int] = {}
        for point, reason in self.failures:
            if is_divergence(reason) and not parts(point)[1]:
                counts[point] = counts.get(point, 0) + 1
        return counts


def is_divergence(reason: str) -> bool:
    """Returns whether a run failed because its training diverged.

    >>> is_divergence("the loss of boxes, mlp-seed0 became nan; use a smaller learning_rate")
    True
    >>> is_divergence("LPIPS needs weights")
    False
    """
    return bool(_DIVERGED.match(reason))
