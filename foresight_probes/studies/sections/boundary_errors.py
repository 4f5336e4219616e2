"""Errors of reconstructions at the boundaries of objects and inside of them, by point."""

from dataclasses import dataclass, replace

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes.predictions import drawing
from foresight_probes.predictions.boundaries import NEAR, boundaries, region_errors, region_summary
from foresight_probes.predictions.shown import middle, reconstruction
from foresight_probes.results.pairs import compare_runs
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore
from foresight_probes.studies import sections
from foresight_probes.studies.derived_metrics import intervals
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Picture, Pictures, Table, of_runs
from foresight_probes.studies.pictured import (
    PointRun,
    chosen,
    common_values,
    evenly_tested,
    over_measures,
    pictured,
    predictions,
)
from foresight_probes.studies.study import SectionRequest

TASKS = ("reconstruction",)
SAMPLES = 48
"""Test samples that are drawn at each point where a file has no number."""
_METRICS = ("region_error_boundaries", "region_error_interiors", "difference")


class Section(sections.Section):
    """Each of `measures`, of reconstructions, at `points`; `against` is the one point that others are compared with.

    `samples` of those tested are drawn, evenly spaced.
    """

    needs = ("measures", "points")
    takes = ("against", "samples")

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table and pictures for each measure. Raises `ProbeError` where there is no run."""
        return over_measures(request, lambda name: _parts(evidence, request, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Errors:
    """The errors of a run, in place of its scores, and the pictures of some samples."""

    point: str
    result: Result
    kinds: tuple[str, ...]
    pictures: dict[str, tuple[Picture, ...]]


def _errors(run: PointRun, samples: int, places: dict[str, str]) -> _Errors:
    ids = evenly_tested(run.result, samples)
    groups = {score.id: score.group for score in run.result.scores}
    scores: list[SampleScore] = []
    kinds: list[str] = []
    pictures: dict[str, tuple[Picture, ...]] = {}
    for own in predictions(run, {*ids, *places}):
        name = own.sample["id"]
        found, truth = map(middle, reconstruction(own))
        ends = boundaries(run.cache, own.row, truth)
        errors = region_errors(found, truth, ends)
        if name in ids and np.isfinite(errors).all():
            scores.append(SampleScore(name, groups[name], tuple(map(float, errors))))
            kinds.append(ends.kind)
        if name in places:
            marked = drawing.as_bytes(truth)
            marked[ends.lines] = drawing.TRUE
            pictures[name] = (
                Picture(pixels=drawing.plain(marked), caption=f"original with boundaries ({ends.kind})"),
                Picture(pixels=drawing.error_map(found, truth), caption="error"),
            )
    if not scores:
        raise ProbeError(f"no test sample drawn at {run.point} has both boundaries and interiors")
    result = replace(run.result, scores_source=tuple(scores), refits={})
    return _Errors(point=run.point, result=result, kinds=tuple(dict.fromkeys(kinds)), pictures=pictures)


def _row(found: _Errors, base: _Errors | None) -> tuple[Cell, ...]:
    own = intervals(found.result, region_summary)
    cells: list[Cell] = [found.point, *(of_runs(own.get(name), found.result) for name in _METRICS)]
    if base is None:
        return tuple(cells)
    if base is found:
        return (*cells, None)
    try:
        pair = compare_runs([found.result], [base.result], metric=_METRICS[0], statistic=region_summary)
    except ProbeError as error:
        return (*cells, f"not paired: {error}")
    return (*cells, of_runs(pair.difference, found.result, base.result) if pair else "not defined at both")


def _parts(evidence: Evidence, request: SectionRequest, name: str) -> list[Part]:
    own = pictured(evidence, name, (*request.points, *request.against), TASKS)
    places = chosen(common_values(own.runs), own.measure.metric)
    errors = [_errors(run, request.samples or SAMPLES, places) for run in own.runs]
    against = evidence.points(request.against, name) if request.against else ()
    base = next((found for found in errors if found.point in against), None)
    kinds = ", ".join(dict.fromkeys(kind for found in errors for kind in found.kinds))
    note = (
        f"Mean absolute errors of values from 0 to 1: within a {1 / NEAR:.0f}th of the longer side of a boundary, and "
        f"inside of objects beyond that. Boundaries are those of {kinds}. Differences are paired: on the same samples, "
        f"of which {len(errors[0].result.scores)} were drawn. {own.note}"
    )
    columns = ["point", "at boundaries", "inside", "difference"]
    columns += [f"at boundaries, against {request.against[0]}"] if base else []
    rows = tuple(_row(found, base) for found in errors)
    table = Table(columns=tuple(columns), rows=rows, title=own.measure.title, note=note.strip())
    pictures = [
        Pictures(
            title=f"{own.measure.title}, {place}: {sample}",
            rows={found.point: found.pictures[sample] for found in errors if sample in found.pictures},
        )
        for sample, place in places.items()
    ]
    return [table, *pictures]
