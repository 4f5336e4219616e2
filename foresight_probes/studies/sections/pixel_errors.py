"""Errors of predicted boxes in pixels of the model's input, against limits, by point."""

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.predictions.box_errors import summary, within
from foresight_probes.studies import sections
from foresight_probes.studies.derived_metrics import BOX_ERRORS, intervals, with_scores
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Part, Table, of_runs
from foresight_probes.studies.pictured import PointRun, over_measures, pictured
from foresight_probes.studies.study import SectionRequest

LIMITS = (32.0, 8.0, 4.0)
"""Limits in pixels where a file has none: of positions, boundaries and textures."""
TASKS = BOX_ERRORS.tasks
_COLUMNS = ("centre_error_pixels", "centre 90 %", "side_error_pixels", "side 90 %")


class Section(sections.Section):
    """Each of `measures`, of boxes, says of which runs boxes are read; `values` are limits in pixels."""

    needs = ("measures", "points")
    takes = ("values",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a table for each measure. Raises `ProbeError` where there is no run."""
        return over_measures(request, lambda name: [_table(evidence, request, name)])


def _table(evidence: Evidence, request: SectionRequest, name: str) -> Table:
    limits = request.values or LIMITS
    columns = (
        *("point", "objects", "centre, median", "centre, 90 %", "side, median", "side, 90 %"),
        *(f"within {limit:g} px" for limit in limits),
    )
    own = pictured(evidence, name, request.points, TASKS)
    rows = tuple(_row(run, limits) for run in own.runs)
    note = (
        "In pixels of the model's input, of boxes that are matched one to one. The error of a side is the mean of the "
        "four sides; within a limit are the objects whose side error is no larger. Objects without a box count as "
        f"infinitely far. Intervals count other test samples, and no other training samples. {own.note}"
    )
    return Table(columns=columns, rows=rows, title=own.measure.title, note=note.strip())


def _row(run: PointRun, limits: tuple[float, ...]) -> tuple[Cell, ...]:
    result = with_scores(run.result, run.cache, BOX_ERRORS)

    def statistic(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return {**summary(scores, counts_RS), **within(scores, counts_RS, limits)}

    found = intervals(result, statistic)
    objects = sum(len(score.scores) for score in result.scores) // 3
    names = (*_COLUMNS, *(f"share_within_{limit:g}" for limit in limits))
    values = (objects, *(found.get(name, "too few have a box") for name in names))
    return (run.point, *(of_runs(value, run.result) for value in values))
