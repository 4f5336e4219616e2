"""A value with the ends of its confidence interval."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its confidence interval, which hold it."""

    value: float
    low: float
    high: float


def over_seeds(intervals: Sequence[Interval]) -> Interval | None:
    """Returns the mean of the intervals' values, from their lowest to their highest end; None for no intervals.

    >>> over_seeds([Interval(0.25, 0.1, 0.5), Interval(0.75, 0.5, 0.875)])
    Interval(value=0.5, low=0.1, high=0.875)
    """
    if not intervals:
        return None
    mean = sum(interval.value for interval in intervals) / len(intervals)
    lows, highs = zip(*((interval.low, interval.high) for interval in intervals), strict=True)
    return Interval(mean, min(lows), max(highs))
