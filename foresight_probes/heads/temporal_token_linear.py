"""One linear map, the same for every cell, on the tokens of a cell at all time steps, side by side.

It makes one prediction per cell of the image, not per time step.
"""

import torch
from torch import nn

from foresight_cache.samples import Grid
from foresight_probes.batches import Features, OutputSpec, Prediction


class Head(nn.Module):
    """tokens [B, T H W, D] -> cells [B, H W, T D] -> values [B, H W, C]."""

    learning_rate = 0.002
    predicts = ("per_token",)

    def __init__(self, *, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.steps = outputs.grid.t
        self.linear = nn.Linear(width * self.steps, outputs.channels)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features) -> Prediction:
        areas = [grid.h * grid.w for grid in features.grids]
        seen = features.tokens.new_zeros(len(areas), max(areas), self.steps, features.tokens.shape[2])
        for row, (grid, area) in enumerate(zip(features.grids, areas, strict=True)):
            steps = features.tokens[row, : grid.tokens].view(grid.t, area, -1)
            seen[row, :area, : grid.t] = steps.transpose(0, 1)
        lengths = torch.tensor(areas, device=seen.device)
        return Prediction(
            values=self.linear(seen.flatten(2)),
            mask=torch.arange(max(areas), device=seen.device) < lengths[:, None],
            cells=features.cells[:, : max(areas)],
            grids=tuple(Grid(1, grid.h, grid.w) for grid in features.grids),
        )
