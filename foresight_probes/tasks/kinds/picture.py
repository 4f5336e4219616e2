"""Tasks that draw a picture, each token the pixels of its own cell."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.batches import Form, OutputSpec, Prediction
from foresight_probes.constant_answer import ConstantAnswer
from foresight_probes.features.patches import cell_shape, patchify, unpatchify
from foresight_probes.tasks import Task, TaskContext
from foresight_probes.tasks.kinds.cell_means import CellSums


class Picture(Task):
    """A task whose target is made from the cache's pixels, [T, H, W, C]."""

    start_forms: tuple[Form, ...] = ("per_token",)
    needs_arrays = ("pixels",)
    channels: ClassVar[int]
    """Channels C of the picture."""

    def __init__(self, context: TaskContext) -> None:
        self._samples = context.samples

    def outputs_for(self, *, width: int, grid: Grid) -> OutputSpec:  # noqa: ARG002 - pieces are as wide for any point
        cell = cell_shape(self._samples, grid, channels=self.channels)
        return OutputSpec(num_predictions=1, channels=math.prod(cell), predicts=("per_token",), grid=grid, cell=cell)

    def has_target(self, sample: Mapping[str, Any]) -> bool:
        return bool(sample.get("grid_pixel"))


def mean_picture(pictures: Iterable[tuple[Tensor, Grid]]) -> ConstantAnswer:
    """Returns the mean of pictures [T, H, W, C], each cut into the cells of its grid."""
    sums = CellSums()
    for picture_THWC, grid in pictures:
        sums.add(patchify(picture_THWC, grid), grid)
    return ConstantAnswer(values=sums.means().float(), places=sums.places)


def drawn(prediction: Prediction, targets: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Puts the predicted pieces of each sample together to a picture [T, H, W, C]; yields it with its target."""
    for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
        frames, height, width, channels = target.shape
        cell = (frames // grid.t, height // grid.h, width // grid.w, channels)
        yield unpatchify(pieces[: grid.tokens], grid, cell), target
