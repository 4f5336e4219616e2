"""Originals, reconstructions and their errors at each point, of the worst, a middling and the best sample."""

from foresight_cache.reader import Cache
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
    """Each of `measures`, of reconstructions, ranks the test samples by its mean over `points`.

    `values` are places in this ranking, as in `box-gallery`.
    """

    needs = ("measures", "points")
    takes = ("values",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns pictures for each sample, a row for each point. Raises `ProbeError` where there is no run."""
        note = f"Errors are means over the channels, brightest from {drawing.MOST_ERROR:g} of the range of values on."
        return sample_rows(evidence, request, TASKS, _pictures, note)


def _pictures(predicted: Predicted, value: float, _: Cache) -> tuple[Picture, ...]:
    found, truth = map(middle, reconstruction(predicted))
    return (
        Picture(pixels=drawing.plain(truth), caption="original"),
        Picture(pixels=drawing.plain(found), caption=f"reconstruction, {value:.3f}"),
        Picture(pixels=drawing.error_map(found, truth), caption="error"),
    )
