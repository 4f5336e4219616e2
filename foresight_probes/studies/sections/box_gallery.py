"""Pictures with true and predicted boxes, from the worst to the best, at each point."""

from foresight_probes.predictions import drawing
from foresight_probes.predictions.shown import boxes_of, input_frame, inside
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Part, Picture, Pictures
from foresight_probes.studies.pictured import PointRun, chosen, over_measures, pictured, predictions
from foresight_probes.studies.study import Measure, SectionRequest

TASKS = ("boxes", "position")


class Section(sections.Section):
    """Each of `measures`, of boxes, ranks the test samples at each of `points`.

    `values` are the places in this ranking that are shown, from 0 for the worst to 1 for the best; without them the
    worst, the median and the best.
    """

    needs = ("measures", "points")
    takes = ("values",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns pictures for each measure, a row for each point. Raises `ProbeError` where there is no run."""
        return over_measures(request, lambda name: [_gallery(evidence, request, name)])


def _gallery(evidence: Evidence, request: SectionRequest, name: str) -> Pictures:
    own = pictured(evidence, name, request.points, TASKS)
    rows = {run.point: _row(run, own.measure, request.values) for run in own.runs}
    note = f"True boxes are green, predicted ones orange and broken. Ranked by {own.measure.metric}. {own.note}"
    return Pictures(title=own.measure.title, rows=rows, note=note.strip())


def _row(run: PointRun, measure: Measure, ranks: tuple[float, ...]) -> tuple[Picture, ...]:
    places = chosen(run.values, measure.metric, ranks)
    drawn = {}
    for own in predictions(run, places):
        name = own.sample["id"]
        pixels = drawing.with_boxes(input_frame(run.cache, own.row), *boxes_of(own), inside(own.sample))
        drawn[name] = Picture(pixels=pixels, caption=f"{places[name]}, {run.values[name]:.3f}: {name}")
    return tuple(drawn[name] for name in places)
