"""Tasks that draw a picture, each token the pixels of its own cell."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from foresight_cache.geometry import border_boxes, shown
from foresight_cache.samples import Grid
from foresight_probes.batches import Form, OutputSpec, Prediction
from foresight_probes.constant_answer import ConstantAnswer
from foresight_probes.features.patches import cell_shape, patchify, unpatchify
from foresight_probes.tasks import Task, TaskContext
from foresight_probes.tasks.kinds.cell_means import CellSums


class Picture(Task):
    """A task whose target is made from the cache's pixels, [T, H, W, C].

    The target of a letterbox is [T, H, W, C + 1] and ends with a channel that is 0 in the border, where nothing of the
    picture is shown: no pixel of it is trained on or scored.
    """

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


def framed(picture_THWC: Tensor, sample: Mapping[str, Any]) -> Tensor:
    """Returns a picture as a target; one in a letterbox has a channel more, which is 0 in the border."""
    if not border_boxes(sample):
        return picture_THWC
    is_shown = picture_THWC.new_zeros(*picture_THWC.shape[:3], 1)
    is_shown[:, *shown(sample)] = 1
    return torch.cat([picture_THWC, is_shown], dim=-1)


def pieces_of(target: Tensor, grid: Grid, channels: int) -> tuple[Tensor, Tensor | None]:
    """Cuts a target into the cells of a grid, [N, D], with what of it is shown, bool [N, D]; None for all."""
    values = patchify(target[..., :channels], grid)
    if target.shape[-1] == channels:
        return values, None
    return values, patchify(target[..., channels:].expand(*target.shape[:3], channels), grid) > 0


def known_pieces(target: Tensor, grid: Grid, channels: int) -> Tensor:
    """Cuts a target into the cells of a grid, [N, D] float32; cells of which nothing is shown are NaN."""
    values, is_shown = pieces_of(target, grid, channels)
    if is_shown is None:
        return values.float()
    return values.float().masked_fill(~is_shown.any(1, keepdim=True), math.nan)


def mean_picture(pictures: Iterable[tuple[Tensor, Grid]], channels: int) -> ConstantAnswer:
    """Returns the mean of pictures [T, H, W, C] over those that show a pixel, each cut into the cells of its grid."""
    sums = CellSums()
    for picture, grid in pictures:
        values, is_shown = pieces_of(picture, grid, channels)
        seen = torch.ones_like(values, dtype=torch.double) if is_shown is None else is_shown.double()
        sums.add(torch.cat([values * seen, seen], dim=-1), grid)
    values, seen = sums.means().chunk(2, dim=-1)
    overall = values.sum(0) / seen.sum(0).clamp(min=1e-12)
    means = torch.where(seen > 0, values / seen.clamp(min=1e-12), overall)
    return ConstantAnswer(values=means.float(), places=sums.places)


def drawn(prediction: Prediction, targets: Sequence[Tensor], channels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Puts the predicted pieces of each sample together to a picture [T, H, W, C]; yields it with the true one.

    Of a letterbox both are what is inside of the border.
    """
    for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
        frames, height, width, _ = target.shape
        cell = (frames // grid.t, height // grid.h, width // grid.w, channels)
        inside = _inside(target, channels)
        yield unpatchify(pieces[: grid.tokens], grid, cell)[inside], target[inside][..., :channels]


def _inside(target: Tensor, channels: int) -> tuple[slice, ...]:
    if target.shape[-1] == channels:
        return (slice(None),)
    rows, columns = (target[0, ..., channels].amax(axis).nonzero() for axis in (1, 0))
    return (slice(None), *(slice(int(places[0]), int(places[-1]) + 1) for places in (rows, columns)))
