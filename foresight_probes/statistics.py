"""Confidence intervals that respect that samples of one group are not independent."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Scores = Sequence["np.ndarray"]
"""One float array per sample; a task's metrics are functions of all of them together."""


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

    >>> scores = [np.array([0.0]), np.array([0.5]), np.array([1.0])]
    >>> bootstrap(scores, ["a", "b", "c"], lambda some: {"mean": float(np.mean(some))}, seed=1)
    {'mean': Interval(value=0.5, low=0.0, high=1.0)}
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    clusters = list(members.values())
    generator = np.random.default_rng(seed)
    drawn: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(resamples):
        picks = generator.integers(len(clusters), size=len(clusters))
        sample = [scores[place] for pick in picks for place in clusters[pick]]
        for name, value in statistic(sample).items():
            if np.isfinite(value):
                drawn[name].append(value)
    tail = 50 * (1 - confidence)
    return {
        name: Interval(value, *(float(end) for end in np.percentile(drawn[name] or [value], [tail, 100 - tail])))
        for name, value in statistic(scores).items()
        if np.isfinite(value)
    }
