"""What is known of a measure at a point."""

import math
from dataclasses import dataclass

from foresight_probes.results.result import Result
from foresight_probes.statistics.interval import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A value at a point, or the reason why there is none."""

    interval: Interval | None = None
    reason: str = ""
    """Why it is not measured; empty where it is."""
    unfit: str = ""
    """Calibration that failed, in words; empty where none did."""
    doubt: str = ""
    """Controls above which the number does not lie, in words."""
    caution: str = ""
    """What a reader must know of the instrument, in words."""
    results: tuple[Result, ...] = ()
    """Results behind it, one for each seed."""
    samples: int = 0
    """Samples in all: those that train, that select and that are tested."""
    groups: float = math.inf
    """Effective groups of the test samples; infinite for what is counted and not estimated."""
    needed: float = 0.0
    """Effective groups that an interval needs."""

    @property
    def too_few(self) -> bool:
        """True where there are too few groups for an interval to carry a verdict."""
        return self.groups < self.needed
