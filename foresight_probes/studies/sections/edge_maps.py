"""Originals and reconstructions with their edges, by which the edge F1 is counted, at each point."""

from foresight_cache.reader import Cache
from foresight_probes.metrics.edge_metrics import edge_map
from foresight_probes.predictions import drawing
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.predictions.shown import middle, reconstruction
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Part, Picture
from foresight_probes.studies.sample_rows import sample_rows
from foresight_probes.studies.study import SectionRequest

TASKS = ("reconstruction",)


class Section(sections.Section):
    """As `reconstructions`, with Canny's edges beside each picture in place of the errors."""

    needs = ("measures", "points")
    takes = ("values",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns pictures for each sample, a row for each point. Raises `ProbeError` where there is no run."""
        return sample_rows(evidence, request, TASKS, _pictures, "Edges are Canny's, as edge F1 takes them.")


def _pictures(predicted: Predicted, value: float, _: Cache) -> tuple[Picture, ...]:
    found, truth = map(middle, reconstruction(predicted))
    return (
        Picture(pixels=drawing.plain(truth), caption="original"),
        Picture(pixels=drawing.edges_shown(edge_map(truth)), caption="its edges"),
        Picture(pixels=drawing.plain(found), caption=f"reconstruction, {value:.3f}"),
        Picture(pixels=drawing.edges_shown(edge_map(found)), caption="its edges"),
    )
