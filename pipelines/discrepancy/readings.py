"""What a probe reads on the test scenes, from several seeds, and how that becomes a row with intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from scipy import stats

from foresight_probes.metrics import Scores
from foresight_probes.metrics.coco_average_precision import average_precision
from foresight_probes.metrics.coco_matching import ClassMatches, match_image
from foresight_probes.metrics.resamples import Statistic, ratio
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.groups import effective_groups, fewest
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.paired import PairedComparison, compare_pair, with_seeds

Metric = Literal["mean_iou", "lpips", "map_0.5"]
MOST: Mapping[Metric, float] = MappingProxyType({"mean_iou": 1.0, "lpips": math.inf, "map_0.5": 1.0})
"""Highest values of metrics."""
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Scores of one probe, or of one picture's fault, on the test scenes."""

    key: str
    part: str
    """Question that it belongs to, and heading of its table."""
    what: str
    metric: Metric
    scores: tuple[Scores, ...]
    """Scores of the test scenes, from each seed."""
    groups: tuple[str, ...]
    """Group of each test scene, in the order of scores."""
    chance: float | None
    """What the same reads without features, or who knows nothing."""
    against: str = ""
    """Key of the reading from which it differs by one thing; empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of the table of factors."""

    key: str
    part: str
    what: str
    metric: Metric
    value: Interval
    """Mean over seeds, with a 95 % interval in which test scenes and seeds count."""
    scenes: int
    seeds: int
    chance: float | None
    against: str
    difference: Interval | None
    """From the row `against`; None where there is none."""
    paired: bool
    """True where both are of the same test scenes."""


def rows_of(readings: Sequence[Reading]) -> list[Row]:
    """Returns the row of each reading; without a difference where the reading from which it differs is not there."""
    by_key = {reading.key: reading for reading in readings}
    return [_row(reading, by_key) for reading in readings]


def value_of(reading: Reading) -> Interval:
    """Returns the mean over seeds, with an interval of which the variance between seeds is part."""
    statistic = STATISTICS[reading.metric]
    intervals = [
        bootstrap(scores, reading.groups, statistic, resamples=RESAMPLES)[reading.metric] for scores in reading.scores
    ]
    if len(intervals) == 1:
        return intervals[0]
    together = with_seeds([_as_comparison(interval, reading) for interval in intervals]).difference
    return Interval(together.value, max(0.0, together.low), min(MOST[reading.metric], together.high))


def difference_of(first: Reading, second: Reading) -> Interval:
    """Returns how much higher the first reads than the second, which has as many seeds or one.

    The interval is that of a bootstrap of both at once where both are of the same scenes, else that of two independent
    numbers.
    """
    if first.groups != second.groups:
        return _apart(value_of(first), value_of(second))
    statistic, seeds = STATISTICS[first.metric], max(len(first.scores), len(second.scores))
    pairs = zip(_repeated(first.scores, seeds), _repeated(second.scores, seeds), strict=True)
    comparisons = [
        compare_pair(own, other, first.groups, statistic, first.metric, resamples=RESAMPLES, permutations=0)
        for own, other in pairs
    ]
    return with_seeds([comparison for comparison in comparisons if comparison]).difference


def _row(reading: Reading, by_key: Mapping[str, Reading]) -> Row:
    other = by_key.get(reading.against)
    return Row(
        key=reading.key,
        part=reading.part,
        what=reading.what,
        metric=reading.metric,
        value=value_of(reading),
        scenes=len(reading.groups),
        seeds=len(reading.scores),
        chance=reading.chance,
        against=reading.against,
        difference=None if other is None else difference_of(reading, other),
        paired=other is not None and other.groups == reading.groups,
    )


def _repeated(scores: tuple[Scores, ...], seeds: int) -> tuple[Scores, ...]:
    return scores * seeds if len(scores) == 1 else scores


def _apart(first: Interval, second: Interval) -> Interval:
    """Returns the difference of two independent numbers: squares of what their intervals hold on each side add up.

    >>> _apart(Interval(5.0, 2.0, 8.0), Interval(1.0, -3.0, 5.0))
    Interval(value=4.0, low=-1.0, high=9.0)
    """
    value = first.value - second.value
    below = np.hypot(first.value - first.low, second.high - second.value)
    above = np.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, float(value - below), float(value + above))


def _as_comparison(interval: Interval, reading: Reading) -> PairedComparison:
    """Returns a value with its interval as what it is above zero, so that seeds can be a random effect."""
    effective = effective_groups(reading.groups)
    quantile = float(stats.t.ppf(0.975, effective - 1))
    return PairedComparison(
        difference=interval,
        p_value=1.0,
        test="bootstrap",
        error=(interval.high - interval.low) / 2 / quantile,
        freedom=effective - 1,
        detectable=0.0,
        groups=effective,
        needed=fewest(reading.metric),
        undefined=0,
    )


def _mean_of(name: Metric) -> Statistic:
    """Returns the mean over all numbers of all scenes: of objects' IoUs, or of a picture's distance."""

    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        sums = np.array([np.sum(own) for own in scores])
        sizes = np.array([len(own) for own in scores])
        return {name: ratio(counts_RS @ sums, counts_RS @ sizes)}

    return statistic


def _at_half(matches: ClassMatches) -> ClassMatches:
    """Returns the matches of objects of all sizes at IoU 0.5 alone, of which average precision is found sooner."""
    objects = matches.objects[:1]
    return replace(matches, hits=matches.hits[:1, :1], ignored=matches.ignored[:1, :1], objects=objects)


def _map_50(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    matches = [{name: _at_half(found) for name, found in match_image(image).items()} for image in scores]
    return {"map_0.5": average_precision(matches, counts_RS)[:, 0, 0]}


STATISTICS: Mapping[Metric, Statistic] = MappingProxyType(
    {"mean_iou": _mean_of("mean_iou"), "lpips": _mean_of("lpips"), "map_0.5": _map_50}
)
"""Metrics on resamples of test scenes."""
