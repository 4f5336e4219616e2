"""A value with the ends of its confidence interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its confidence interval, which hold it."""

    value: float
    low: float
    high: float
