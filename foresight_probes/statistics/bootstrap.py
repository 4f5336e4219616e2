"""Confidence intervals that respect that samples of one group are not independent."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import Statistic, point_estimate

_BLOCK = 2**18
"""Counts of samples that are held at a time."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the ends of its confidence interval."""

    value: float
    low: float
    high: float


def bootstrap(
    scores: Scores,
    groups: Sequence[str],
    statistic: Statistic,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Returns percentile intervals of named statistics, resampling whole groups with replacement.

    The percentile method of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13, applied
    to clusters: each resample draws as many groups as there are and has all samples of each. The seed decides
    the draws. With a single group the interval is the value itself, which says nothing about uncertainty.

    A statistic that is undefined for a resample takes its interval from the others; one that is undefined for all
    samples is missing in the result.

    >>> scores = np.array([[0.0], [0.5], [1.0]])
    >>> bootstrap(scores, ["a", "b", "c"], lambda scores, counts: {"mean": counts @ scores[:, 0] / 3}, seed=1)
    {'mean': Interval(value=0.5, low=0.0, high=1.0)}
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    group_of = np.array([numbers[group] for group in groups])
    generator = np.random.default_rng(seed)
    drawn: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    block = max(1, _BLOCK // len(groups))
    for first in range(0, resamples, block):
        picks = generator.integers(len(numbers), size=(min(block, resamples - first), len(numbers)))
        counts = np.stack([np.bincount(pick, minlength=len(numbers)) for pick in picks])
        for name, values in statistic(scores, counts[:, group_of]).items():
            drawn[name].append(values[np.isfinite(values)])
    tail = 50 * (1 - confidence)
    intervals = {}
    for name, value in point_estimate(statistic, scores).items():
        values = np.concatenate(drawn[name])
        low, high = np.percentile(values if len(values) else [value], [tail, 100 - tail])
        intervals[name] = Interval(value, float(low), float(high))
    return intervals


def bootstrap_difference(
    first: Scores, second: Scores, groups: Sequence[str], statistic: Statistic, name: str, **options: Any
) -> Interval | None:
    """Returns the interval of how much greater a statistic of this name is by the first scores than by the second.

    Both are of the same samples in the same order, and are resampled together, so that what makes a sample hard for
    both does not count. None where the statistic is undefined. Options are those of `bootstrap`.
    """

    def difference(_: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        values = [statistic(scores, counts_RS).get(name) for scores in (first, second)]
        return {name: values[0] - values[1]} if values[0] is not None and values[1] is not None else {}

    return bootstrap(first, groups, difference, **options).get(name)
