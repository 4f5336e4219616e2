"""Groups of samples that are not independent of each other, such as the questions about one image."""

from collections import Counter
from collections.abc import Iterable

FEWEST = 50.0
"""Effective groups below which an interval of 95 % was seen to cover as little as 80 %: too few for a verdict."""
FEWEST_FOR_MAP = 100.0
"""The same for mean average precision, whose intervals of fewer were not tried."""


def fewest(metric: str) -> float:
    """Returns the effective groups that a metric of this name needs for a verdict.

    >>> fewest("mean_iou"), fewest("map_0.5")
    (50.0, 100.0)
    """
    return FEWEST_FOR_MAP if metric.startswith("map_") else FEWEST


def effective_groups(groups: Iterable[str]) -> float:
    """Returns how many groups of equal size would tell as much, 0 for no sample.

    It is (Σ m)² / Σ m² for groups of m samples (Kish, "Survey Sampling", 1965, section 8.2, for weights).

    >>> effective_groups(["a", "b", "c"]), effective_groups(["a", "a", "a", "b"])
    (3.0, 1.6)
    """
    sizes = Counter(groups).values()
    return sum(sizes) ** 2 / sum(size**2 for size in sizes) if sizes else 0.0
