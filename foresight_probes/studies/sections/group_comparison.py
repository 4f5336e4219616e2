"""The same metric of several groups of runs beside each other, such as of heads that were trained by another loss."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_probes.options import REPETITIONS, TrainingOptions
from foresight_probes.results.pairs import compare_runs
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table
from foresight_probes.studies.reading import Reading
from foresight_probes.studies.study import Measure, SectionRequest

NEGATIVE_LOSS = "negative_loss"
"""First metric, and first of a sample's scores, of pictures that are drawn by another loss than the squared error."""
_PAIRED = (
    "Differences are paired, on the same test samples and resamples, with 95 % intervals; they count no other training "
    "samples, unless both groups were fitted again on the same parts."
)


class Section(sections.Section):
    """A table in which each of `measures` stands beside the first one of the same task and metric, at each point.

    With `heads` these alone may be chosen. The note tells in which options of training the groups differ.
    """

    needs = ("measures", "points")
    takes = ("heads",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns one table. Raises `ProbeError` where no group has a value at any of the points."""
        alike: dict[tuple[str, str], list[str]] = {}
        for name in request.measures:
            own = evidence.study.measures.get(name)
            if own is None or not own.metric:
                raise ProbeError(f"{name} is no metric of runs, which alone are compared by their samples")
            alike.setdefault((own.task, own.metric), []).append(name)
        rows: list[tuple[Cell, ...]] = []
        for names in alike.values():
            points = evidence.points(request.points, names[0])
            rows += [row for point in points for row in _rows(evidence, names, point, request)]
        if not any(isinstance(row[4], Interval) for row in rows):
            raise ProbeError(f"{', '.join(request.measures)} has no value at {', '.join(request.points)}")
        columns = ("metric", "point", "runs", "head", "value", "difference from the first", "remark")
        note = " ".join((_PAIRED, *_differing(evidence, [names[0] for names in alike.values()], request.measures)))
        return [Table(columns=columns, rows=tuple(rows), note=note)]


def _rows(evidence: Evidence, names: Sequence[str], point: str, request: SectionRequest) -> list[tuple[Cell, ...]]:
    measures = [evidence.study.measures[name] for name in names]
    readings = [_reading(evidence, own, point, request) for own in measures]
    rows: list[tuple[Cell, ...]] = []
    for own, reading in zip(measures, readings, strict=True):
        named = (own.metric, point, own.runs)
        if reading.interval is None:
            rows.append((*named, None, f"not measured: {reading.reason or reading.unfit}", None, None))
            continue
        difference = None if reading is readings[0] else _difference(own, reading, readings[0])
        remark = "; ".join(
            filter(None, (_found(reading.results[0]), reading.doubt, "too few groups" if reading.too_few else ""))
        )
        rows.append((*named, reading.results[0].head, reading.interval, difference, remark))
    return rows


def _found(result: Result) -> str:
    """Returns in words how a head was found; one that starts from a solution may have become no better by training."""
    if not result.validation.get("learning_rate"):
        return "solved"
    return "trained" if result.validation["epoch"] else "trained, but no epoch was better than its start"


def _reading(evidence: Evidence, own: Measure, point: str, request: SectionRequest) -> Reading:
    return evidence.reading_of(replace(own, heads=request.heads) if request.heads else own, point)


def _difference(own: Measure, reading: Reading, first: Reading) -> Interval | str:
    """Returns how much more a metric is than in the first group, or why that is not known."""
    if first.interval is None:
        return "the first is not measured"
    every = (*reading.results, *first.results)
    primary = next((result.primary for result in every if result.primary != NEGATIVE_LOSS), NEGATIVE_LOSS)
    options = first.results[0].options
    own_runs, others = ([_as(result, options, primary) for result in side.results] for side in (reading, first))
    try:
        found = compare_runs(own_runs, others, metric=own.metric)
    except ProbeError as error:
        return f"not paired: {error}"
    return found.difference if found else "not defined at both"


def _as(result: Result, options: Mapping[str, Any], primary: str) -> Result:
    """Returns a result as one of these options, in which the groups are meant to differ, and of this first metric.

    The negative of a loss stands before the metrics of other losses too, and goes where another is the first.
    """
    scores = result.scores
    if result.primary == NEGATIVE_LOSS != primary:
        scores = tuple(SampleScore(own.id, own.group, own.scores[1:]) for own in scores)
    return replace(result, options=options, primary=primary, scores_source=scores)


def _differing(evidence: Evidence, firsts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns in sentences which options of training the groups have that the first one of their metric has not."""
    study = evidence.study
    groups = dict.fromkeys(study.measures[name].runs for name in firsts)
    others = dict.fromkeys(study.measures[name].runs for name in names if study.measures[name].runs not in groups)
    said = []
    for group in others:
        own, first = study.runs[group].options, study.runs[next(iter(groups))].options
        differs = [
            f"{name} {getattr(own, name)} and not {getattr(first, name)}"
            for name in (field.name for field in fields(TrainingOptions))
            if name not in REPETITIONS and getattr(own, name) != getattr(first, name)
        ]
        said += [f"{group} is trained with {', '.join(differs)}."] if differs else []
    return said
