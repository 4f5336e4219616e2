"""Confidence intervals that respect that samples of one group are not independent."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import Statistic, point_estimate
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.refitting import counted
from foresight_probes.statistics.scales import ends

HALVED = ("map_",)
"""Beginnings of names of metrics of which random halves are drawn instead.

mAP takes the highest precision at any greater recall, which is too high by chance: where precision is level, by a part
of the spread that is no less in many pictures. Halves show more of this than draws that have some pictures twice."""
_BLOCK = 2**20
"""Counts of samples that are held at a time."""


def bootstrap(
    scores: Scores,
    groups: Sequence[str],
    statistic: Statistic,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    refits: Mapping[str, Sequence[float]] = MappingProxyType({}),
) -> dict[str, Interval]:
    """Returns intervals of named statistics, from resamples of whole groups with replacement.

    Each resample draws as many groups as there are and has all samples of each (Efron and Tibshirani, "An Introduction
    to the Bootstrap", 1993, applied to clusters); the ends of intervals are those of `scales.ends`. The seed decides
    the draws. With a single group the interval is the value itself, which says nothing about uncertainty. Where a name
    begins as one of `HALVED`, resamples have half of the groups, each once (`resampled`).

    Where there are values of a statistic from `refits`, of heads that were found again from other training samples, the
    interval counts how much they differ as well (`refitting.counted`).

    A statistic that is undefined for a resample takes its interval from the others; one that is undefined for all
    samples is missing in the result.

    >>> scores = np.array([[0.0], [0.5], [1.0]])
    >>> bootstrap(scores, ["a", "b", "c"], lambda scores, counts: {"mean": counts @ scores[:, 0] / 3}, seed=1)
    {'mean': Interval(value=0.5, low=0.0, high=1.0)}
    """
    estimates = point_estimate(statistic, scores)
    drawn = resampled(scores, groups, statistic, resamples=resamples, seed=seed, halves=is_halved(*estimates))
    intervals = {}
    for name, value in estimates.items():
        draws, effective = counted(drawn[name], effective_groups(groups), refits.get(name, ()), seed=seed)
        low, high = ends(name, value, draws, groups=effective, confidence=confidence)
        intervals[name] = Interval(value, low, high)
    return intervals


def is_halved(*metrics: str) -> bool:
    """Returns whether one of these is such that halves are to be drawn.

    >>> is_halved("map_0.5"), is_halved("auprc", "mae")
    (True, False)
    """
    return any(metric.startswith(HALVED) for metric in metrics)


def resampled(
    scores: Scores,
    groups: Sequence[str],
    statistic: Statistic,
    *,
    resamples: int,
    seed: int = 0,
    halves: bool = False,
) -> Mapping[str, np.ndarray]:
    """Returns the finite values of named statistics on resamples of whole groups.

    `halves` are without replacement, and spread as much as those of as many groups with it: the delete-d jackknife for
    d = n / 2, which holds for statistics that are not smooth (Shao and Wu, "A General Theory for Jackknife Variance
    Estimation", Annals of Statistics 1989).
    """
    drawn: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    for counts_RS in _drawn_counts(groups, resamples, seed, halves):
        for name, values in statistic(scores, counts_RS).items():
            drawn[name].append(values[np.isfinite(values)])
    return defaultdict(lambda: np.empty(0), {name: np.concatenate(parts) for name, parts in drawn.items()})


def _drawn_counts(groups: Sequence[str], resamples: int, seed: int, halves: bool) -> Iterator[np.ndarray]:
    """Yields how often resamples have each sample, [R, S], some resamples at a time."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    group_of = np.array([numbers[group] for group in groups])
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(groups))
    for first in range(0, resamples, block):
        size = min(block, resamples - first)
        counts_RG = (_halves if halves else _with_replacement)(generator, size, len(numbers))
        yield counts_RG[:, group_of]


def _with_replacement(generator: np.random.Generator, resamples: int, groups: int) -> np.ndarray:
    picks_RG = generator.integers(groups, size=(resamples, groups))
    return np.stack([np.bincount(picks_G, minlength=groups) for picks_G in picks_RG])


def _halves(generator: np.random.Generator, resamples: int, groups: int) -> np.ndarray:
    """Each half is followed by the other one."""
    pairs = -(-resamples // 2)
    order = generator.permuted(np.tile(np.arange(groups), (pairs, 1)), axis=1)
    first = order < groups // 2
    return np.stack([first, ~first], axis=1).reshape(-1, groups)[:resamples].astype(np.int64)


def bootstrap_difference(
    first: Scores,
    second: Scores,
    groups: Sequence[str],
    statistic: Statistic,
    name: str,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Interval | None:
    """Returns the percentiles of how much greater a statistic of this name is by the first scores than by the second.

    Both are of the same samples in the same order, and are resampled together, so that what makes a sample hard for
    both does not count. None where the statistic is undefined. `paired.compare_pair` tells more.
    """
    difference = difference_of(first, second, statistic, name)
    value = point_estimate(difference, first).get(name)
    if value is None:
        return None
    draws = resampled(first, groups, difference, resamples=resamples, halves=is_halved(name))[name]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(draws if len(draws) else [value], [tail, 100 - tail])
    return Interval(value, float(low), float(high))


def difference_of(first: Scores, second: Scores, statistic: Statistic, name: str) -> Statistic:
    """Returns the statistic of how much greater one of this name is by the first scores than by the second."""

    def difference(_: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        values = [statistic(scores, counts_RS).get(name) for scores in (first, second)]
        return {name: values[0] - values[1]} if values[0] is not None and values[1] is not None else {}

    return difference
