"""Tasks that draw a picture, each token the pixels of its own cell."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.features.patches import cell_shape, unpatchify
from foresight_probes.tasks import Task, TaskContext


class Picture(Task):
    """A task whose target is made from the cache's pixels, [T, H, W, C]."""

    constant_head = "global-linear"
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


def drawn(prediction: Prediction, targets: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Puts the predicted pieces of each sample together to a picture [T, H, W, C]; yields it with its target."""
    for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
        frames, height, width, channels = target.shape
        cell = (frames // grid.t, height // grid.h, width // grid.w, channels)
        yield unpatchify(pieces[: grid.tokens], grid, cell), target
