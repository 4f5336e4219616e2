"""Scores: weighted sums of measures of one point, with intervals that count how the measures vary together."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from foresight_probes.metrics.resamples import Statistic, point_estimate
from foresight_probes.results.result import Result
from foresight_probes.statistics.bootstrap import is_halved, resampled
from foresight_probes.statistics.groups import FEWEST, effective_groups
from foresight_probes.statistics.interval import Interval, over_seeds
from foresight_probes.statistics.refitting import counted
from foresight_probes.statistics.scales import deviation
from foresight_probes.studies.derived_metrics import statistic_of
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.study import Score, Term


def score_reading(evidence: Evidence, score: Score, point: str) -> Reading:
    """Returns a score at a point; where a term has no value, why it has none."""
    readings = {term.measure: evidence.reading(term.measure, point) for term in score.terms}
    for name, own in readings.items():
        if own.interval is None:
            title = evidence.study.measures[name].title
            return Reading(reason=own.reason and f"{title}: {own.reason}", unfit=own.unfit and f"{title}: {own.unfit}")
    parts = [(term, readings[term.measure], evidence.study.measures[term.measure].metric) for term in score.terms]
    seeds = sorted(set.intersection(*({result.seed for result in own.results} for _, own, _ in parts)))
    intervals = [
        score_interval([(term, _of_seed(own.results, seed), metric) for term, own, metric in parts]) for seed in seeds
    ]
    return Reading(
        interval=over_seeds(intervals),
        reason="" if seeds else "its measures have no random seed in common",
        doubt="; ".join(dict.fromkeys(own.doubt for own in readings.values() if own.doubt)),
        caution="; ".join(dict.fromkeys(own.caution for own in readings.values() if own.caution)),
        results=tuple(result for own in readings.values() for result in own.results),
        samples=min(own.samples for own in readings.values()),
        groups=min(own.groups for own in readings.values()),
        needed=max(FEWEST, *(own.needed for own in readings.values())),
    )


def score_interval(parts: Sequence[tuple[Term, Result, str]]) -> Interval:
    """Returns a score of results, each with its term and metric, and its interval.

    Groups of test samples are resampled once for all metrics, so that what makes a picture hard for several of them is
    counted as it is (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.3). Where all results
    were found again without the same parts of the training samples, the jackknife's variance of the score is added.
    The interval is Student's, with these standard errors.
    """
    groups: dict[str, int] = {}
    for _, result, _ in parts:
        for score in result.scores:
            groups.setdefault(score.group, len(groups))
    statistics = [_of_groups(term, result, metric, groups) for term, result, metric in parts]

    def statistic(_: object, counts_RG: np.ndarray) -> dict[str, np.ndarray]:
        return {"score": np.sum([own(counts_RG) for own in statistics], axis=0)}

    names, options = list(groups), parts[0][1].options
    nothing = np.zeros((len(names), 1))
    value = point_estimate(statistic, nothing)["score"]
    drawn = resampled(
        nothing,
        names,
        statistic,
        resamples=int(options.get("resamples", 1000)),
        halves=is_halved(*(metric for _, _, metric in parts)),
    )["score"]
    effective = min(effective_groups(score.group for score in result.scores) for _, result, _ in parts)
    draws, worth = counted(drawn, effective, _refitted(parts))
    if worth <= 1 or not len(draws):
        return Interval(value, value, value)
    quantile = float(stats.t.ppf((1 + float(options.get("confidence", 0.95))) / 2, worth - 1))
    half = quantile * deviation(draws, worth)
    return Interval(value, value - half, value + half)


def _of_groups(term: Term, result: Result, metric: str, groups: Mapping[str, int]) -> "_GroupStatistic":
    scores = result.scores
    return _GroupStatistic(
        term=term,
        statistic=statistic_of([result], metric),
        metric=metric,
        scores=[np.array(score.scores) for score in scores],
        group_of=np.array([groups[score.group] for score in scores]),
    )


class _GroupStatistic:
    """A term of a score on resamples of groups."""

    def __init__(
        self, *, term: Term, statistic: Statistic, metric: str, scores: list[np.ndarray], group_of: np.ndarray
    ) -> None:
        self._term, self._statistic, self._metric = term, statistic, metric
        same = len({len(own) for own in scores}) == 1
        self._scores = np.stack(scores) if same else scores
        self._group_of = group_of

    def __call__(self, counts_RG: np.ndarray) -> np.ndarray:
        values = self._statistic(self._scores, counts_RG[:, self._group_of])[self._metric]
        part: np.ndarray = self._term.of(values)
        return part


def _refitted(parts: Sequence[tuple[Term, Result, str]]) -> list[float]:
    """Returns the score of heads that were found again without each part; none where one of the results has no such."""
    refits = [(term, result.refits.get(metric, ())) for term, result, metric in parts]
    counts = {len(values) for _, values in refits}
    if len(counts) > 1 or not counts or 0 in counts:
        return []
    return [sum(float(term.of(values[number])) for term, values in refits) for number in range(counts.pop())]


def _of_seed(results: Sequence[Result], seed: int) -> Result:
    return next(result for result in results if result.seed == seed)
