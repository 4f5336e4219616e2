"""Confidence intervals that respect that samples of one group are not independent."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foresight_probes.scores import Scores, chosen


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its confidence interval."""

    value: float
    low: float
    high: float


def bootstrap(
    scores: Scores,
    groups: Sequence[str],
    statistic: Callable[[Scores], Mapping[str, float]],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of named statistics, resampling whole groups with replacement.

    The percentile method of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13, applied
    to clusters: each resample draws as many groups as there are and takes all samples of each. Deterministic
    given the seed. With a single group the interval is the value itself, which says nothing about uncertainty.

    A statistic that is undefined for a resample (it is missing, or NaN) takes its interval from the others; one that
    is undefined for all samples is missing in the result.

    >>> scores = np.array([[0.0], [0.5], [1.0]])
    >>> bootstrap(scores, ["a", "b", "c"], lambda some: {"mean": float(np.mean(some))}, seed=1)
    {'mean': Interval(value=0.5, low=0.0, high=1.0)}
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    of_samples = np.array([numbers[group] for group in groups])
    by_group, sizes = np.argsort(of_samples, kind="stable"), np.bincount(of_samples)
    generator = np.random.default_rng(seed)
    drawn: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(resamples):
        picks = generator.integers(len(numbers), size=len(numbers))
        for name, value in statistic(chosen(scores, _members(by_group, sizes, picks))).items():
            if np.isfinite(value):
                drawn[name].append(value)
    tail = 50 * (1 - confidence)
    return {
        name: Interval(value, *(float(end) for end in np.percentile(drawn[name] or [value], [tail, 100 - tail])))
        for name, value in statistic(scores).items()
        if np.isfinite(value)
    }


def _members(by_group: np.ndarray, sizes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """All samples of these groups, one group after the other.

    Args:
        by_group: [N] samples, those of the first group first.
        sizes: [G] numbers of samples of each group.

    >>> _members(np.array([0, 2, 1]), np.array([2, 1]), np.array([1, 0, 1])).tolist()
    [1, 0, 2, 1]
    """
    many = sizes[groups]
    skipped = (sizes.cumsum() - sizes)[groups] - (many.cumsum() - many)
    members: np.ndarray = by_group[np.arange(many.sum()) + np.repeat(skipped, many)]
    return members
