"""One linear map, the same for every cell, on the tokens of a cell at all time steps, side by side.

It makes one prediction per cell of the image, not per time step.
"""

import torch
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.heads.layers.outputs import small_linear


class Head(LinearHead):
    """tokens [B, T H W, D] -> cells [B, H W, T D] -> values [B, H W, C]."""

    learning_rate = 0.002
    predicts = ("per_token",)
    information = ("token", "place")
    is_linear = True
    rearranges = True

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.steps = outputs.grid.t
        self.linear = small_linear(width * self.steps, outputs)

    def inputs(self, features: Features) -> tuple[Tensor, Tensor]:
        areas = [grid.h * grid.w for grid in features.grids]
        clips = features.tokens.new_zeros(len(areas), max(areas), self.steps, features.tokens.shape[2])
        for row, (grid, area) in enumerate(zip(features.grids, areas, strict=True)):
            steps = features.tokens[row, : grid.tokens].view(grid.t, area, -1)
            clips[row, :area, : grid.t] = steps.transpose(0, 1)
        lengths = torch.tensor(areas, device=clips.device)
        return clips.flatten(2), torch.arange(max(areas), device=clips.device) < lengths[:, None]

    def as_prediction(self, mapped: Tensor, features: Features) -> Prediction:
        lengths = torch.tensor([grid.h * grid.w for grid in features.grids], device=mapped.device)
        return Prediction(
            values=mapped,
            mask=torch.arange(mapped.shape[1], device=mapped.device) < lengths[:, None],
            cells=features.cells[:, : mapped.shape[1]],
            grids=tuple(Grid(1, grid.h, grid.w) for grid in features.grids),
        )
