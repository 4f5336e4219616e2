"""True and predicted classes of tokens over the picture, at each point."""

import numpy as np

from foresight_cache.reader import Cache
from foresight_probes.predictions import drawing
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.predictions.shown import classes_of, input_frame, inside
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Part, Picture
from foresight_probes.studies.sample_rows import sample_rows
from foresight_probes.studies.study import SectionRequest

TASKS = ("patch-class",)
_NAMED = 5
"""Classes that are named under a picture: those of the most tokens."""


class Section(sections.Section):
    """Each of `measures`, of classes of tokens, ranks the test samples by its mean over `points`.

    `values` are places in this ranking, as in `box-gallery`.
    """

    needs = ("measures", "points")
    takes = ("values",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns pictures for each sample, a row for each point. Raises `ProbeError` where there is no run."""
        note = "Each class has a colour of its own; the class 0 is left clear, and tokens without an answer are grey."
        return sample_rows(evidence, request, TASKS, _pictures, note)


def _pictures(predicted: Predicted, value: float, cache: Cache) -> tuple[Picture, ...]:
    picture, shown = input_frame(cache, predicted.row), inside(predicted.sample)
    truth, found = classes_of(predicted)
    names = [_names(predicted, classes) for classes in (truth, found)]
    return (
        Picture(pixels=drawing.plain(picture[shown]), caption="picture"),
        Picture(pixels=drawing.class_map(picture, truth, shown), caption=f"true: {names[0]}"),
        Picture(pixels=drawing.class_map(picture, found, shown), caption=f"predicted, {value:.3f}: {names[1]}"),
    )


def _names(predicted: Predicted, classes_RC: np.ndarray) -> str:
    """Returns the names of the classes of the most tokens, the lower number first of equally many."""
    numbers, counts = np.unique(classes_RC[classes_RC >= 0], return_counts=True)
    order = sorted(range(len(numbers)), key=lambda index: (-counts[index], numbers[index]))
    return ", ".join(predicted.task.class_name(int(numbers[index])) for index in order[:_NAMED])
