"""Thresholds, and what a confidence interval says of one: met, not met, or undecided."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

from foresight_probes.statistics.interval import Interval

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXT = re.compile(r"(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A side of a number: what is above it, say.

    >>> str(Threshold.parse("> 0.7")), Threshold.parse(">0.7").holds(0.7)
    ('> 0.7', False)
    """

    sign: str
    """One of <, <=, > and >=."""
    value: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the threshold of a text. Raises `ValueError` for another text."""
        match = _TEXT.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is no threshold")
        return cls(match[1], float(match[2]))

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g}"

    def holds(self, value: float) -> bool:
        """Tells whether a value is on this side."""
        return bool(_SIGNS[self.sign](value, self.value))

    def decide(self, interval: Interval) -> bool | None:
        """Tells whether all of an interval is on this side (True), none of it (False), or some (None).

        >>> above = Threshold.parse("> 0.7")
        >>> [above.decide(Interval(v, v - 0.05, v + 0.05)) for v in (0.8, 0.6, 0.72)]
        [True, False, None]
        """
        ends = {self.holds(interval.low), self.holds(interval.high)}
        return ends.pop() if len(ends) == 1 else None


def widened(interval: Interval, tests: int, confidence: float = 0.95) -> Interval:
    """Returns an interval that holds its value in so many tests at once as surely as one does in one (Bonferroni).

    Each half is stretched as that of a normal distribution would be.

    >>> widened(Interval(0.5, 0.4, 0.6), 1)
    Interval(value=0.5, low=0.4, high=0.6)
    >>> round(widened(Interval(0.5, 0.4, 0.6), 5).high, 3)  # 2.576 deviations for 1.960
    0.631
    """
    normal = NormalDist()
    one, many = (normal.inv_cdf(1 - (1 - confidence) / 2 / number) for number in (1, tests))
    below, above = interval.value - interval.low, interval.high - interval.value
    return Interval(interval.value, interval.value - below * many / one, interval.value + above * many / one)


def samples_needed(samples: int, interval: Interval, threshold: float, *, groups: float, needed: float) -> float:
    """Returns how many samples, in all, would decide: infinite where the value is the threshold itself.

    Intervals become narrower with the root of the number of samples, so that with as many more the end that reaches
    over the threshold would lie on it, if the value stays what it is. Too few groups have to become as many as are
    needed first.

    Args:
        samples: Samples there are now.
        interval: The value with its interval.
        threshold: What it is held against.
        groups: Effective groups of test samples now.
        needed: Effective groups that an interval needs.

    >>> samples_needed(100, Interval(0.5, 0.3, 0.7), 0.6, groups=80, needed=50)  # half as wide with four times as many
    400.0
    >>> samples_needed(100, Interval(0.9, 0.8, 1.0), 0.5, groups=10, needed=50)
    500.0
    """
    more = max(1.0, needed / groups) if groups else math.inf
    half = interval.value - interval.low if threshold < interval.value else interval.high - interval.value
    distance = abs(interval.value - threshold)
    if distance < half:
        more = max(more, (half / distance) ** 2 if distance else math.inf)
    return samples * more


def about(samples: float) -> str:
    """Returns a number of samples as a sentence has it, rounded up to two digits.

    >>> about(1234.0), about(48.0), about(float("inf"))
    ('about 1,300 samples', 'about 48 samples', 'more than any number of samples, should the value stay as it is')
    """
    if math.isinf(samples):
        return "more than any number of samples, should the value stay as it is"
    unit = 10.0 ** max(0, math.floor(math.log10(samples)) - 1) if samples >= 1 else 1.0
    return f"about {round(math.ceil(samples / unit - 1e-9) * unit):,} samples"
