"""The runs that a section looks into sample by sample: at each point the one that is read, with its samples ranked."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.predictions.kept_run import Predicted, predict, require_kept
from foresight_probes.results.metric_names import lower_is_better
from foresight_probes.results.result import Result
from foresight_probes.studies.derived_metrics import statistic_of
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Part
from foresight_probes.studies.study import Measure, SectionRequest
from foresight_probes.tasks.kinds.cell_means import evenly

RANKS = (0.0, 0.5, 1.0)
"""Places of samples that are shown, from the worst (0) to the best (1)."""
_NAMES = {0.0: "worst", 0.5: "median", 1.0: "best"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PointRun:
    """The run that is read for a measure at a point; of several seeds the first."""

    point: str
    result: Result
    cache: Cache
    values: Mapping[str, float]
    """The measure of each test sample alone, by its id, of those for which it is defined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictured:
    """The runs of a measure at some points, those that can be looked into."""

    measure: Measure
    runs: tuple[PointRun, ...]
    """In the order of computation."""
    missing: tuple[str, ...]
    """Why others cannot, in sentences."""

    @property
    def note(self) -> str:
        """What is not shown, in sentences."""
        return " ".join(self.missing)


def pictured(evidence: Evidence, name: str, points: Sequence[str], tasks: Collection[str]) -> Pictured:
    """Returns the runs of a measure of one of some tasks, each with the values of its samples.

    Raises `ProbeError` where the measure is of another task, or there is no run.
    """
    measure = evidence.study.measures.get(name)
    if measure is None or measure.task not in tasks:
        kind = f"of the task {measure.task or 'of no run'}" if measure else "a score"
        raise ProbeError(f"{name} is {kind}, expected a measure of {' or '.join(sorted(tasks))}")
    runs, missing = [], []
    for point in evidence.points(points, name):
        reading = evidence.reading(name, point)
        if not reading.results:
            missing.append(f"At {point} nothing is shown: {reading.unfit or reading.reason}.")
            continue
        first = reading.results[0]
        # results of derived metrics have other scores, and not the path of their files
        own = next(result for result in evidence.results[measure.runs] if result.identity == first.identity)
        cache = evidence.caches[evidence.study.runs[measure.runs].dataset]
        try:
            require_kept(own, cache)
        except ProbeError as error:
            missing.append(f"At {point} nothing is shown: {error}.")
            continue
        runs.append(PointRun(point=point, result=own, cache=cache, values=sample_values(first, measure.metric)))
    if not runs:
        raise ProbeError(missing[0].rstrip(".") if missing else f"no cache has a point of {', '.join(points)}")
    return Pictured(measure=measure, runs=tuple(runs), missing=tuple(missing))


def over_measures(request: SectionRequest, make: Callable[[str], Sequence[Part]]) -> list[Part]:
    """Returns the parts of all measures of a request, those of which there are none with the reason in the first note.

    Raises `ProbeError` where there are none of any measure.
    """
    parts: list[Part] = []
    reasons = []
    for name in request.measures:
        try:
            parts += make(name)
        except ProbeError as error:
            reasons.append(f"{name}: {error}" if len(request.measures) > 1 else str(error))
    if not parts:
        raise ProbeError("; ".join(reasons))
    if reasons:
        said = f"Not measured: {'; '.join(reasons)}."
        parts[0] = replace(parts[0], note=f"{parts[0].note} {said}".strip())
    return parts


def sample_values(result: Result, metric: str) -> dict[str, float]:
    """Returns a metric of each test sample alone, by id, where it is defined."""
    statistic = statistic_of([result], metric)
    values = {score.id: point_estimate(statistic, [np.array(score.scores)]).get(metric) for score in result.scores}
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def chosen(values: Mapping[str, float], metric: str, ranks: Sequence[float] = ()) -> dict[str, str]:
    """Returns samples at some places of the ranking by a metric, from the worst to the best, with names of the places.

    Equal values are ranked by the ids. No sample is returned twice.

    >>> chosen({"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.5, "e": 0.7}, "mean_iou")
    {'a': 'worst', 'd': 'median', 'b': 'best'}
    >>> chosen({"a": 0.1, "b": 0.9}, "lpips", (0.0, 0.01))
    {'b': 'worst'}
    """
    sign = -1 if lower_is_better(metric) else 1
    order = sorted(values, key=lambda name: (sign * values[name], name))
    places: dict[str, str] = {}
    for rank in ranks or RANKS:
        if order and 0 <= rank <= 1:
            places.setdefault(order[round(rank * (len(order) - 1))], _NAMES.get(rank, f"at {rank:.0%} from the worst"))
    return places


def common_values(runs: Sequence[PointRun]) -> dict[str, float]:
    """Returns the mean over points of the values of the samples that have one at each, by id."""
    shared = set.intersection(*(set(own.values) for own in runs))
    return {name: float(np.mean([own.values[name] for own in runs])) for name in sorted(shared)}


def predictions(own: PointRun, ids: Collection[str]) -> Iterator[Predicted]:
    """Yields the predictions of a run for some of its test samples. Raises as `predict` does."""
    return predict(own.result, own.cache, ids)


def evenly_tested(result: Result, most: int) -> list[str]:
    """Returns the ids of at most so many test samples, evenly spaced in their order."""
    return evenly(sorted(score.id for score in result.scores), most)
