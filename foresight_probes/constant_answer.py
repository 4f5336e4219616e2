"""The best constant answer of a task: what is predicted without a look at the sample."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresight_cache.samples import Grid
from foresight_probes.batches import Features, Prediction
from foresight_probes.features.patches import grid_cells

Answered: TypeAlias = Iterable[tuple[Tensor, Grid]]
"""Targets of training samples, as `Task.scores` takes them, each with the grid of the sample's tokens; read once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConstantAnswer:
    """An answer that is the same for all samples, or a function of the place in the sample alone."""

    values: Tensor
    """[P, C] float32: predictions of the whole sample, or one for each cell of `places`, in raster order."""
    places: Grid | None = None
    """Grid by which a token is told its prediction: that of the cell in which the token's centre lies. None for
    predictions of the whole sample."""

    def predict(self, features: Features) -> Prediction:
        """Returns the answer for each sample of a batch, whose features are not looked at."""
        device, count = features.pooled.device, len(features.pooled)
        values = self.values.to(device)
        if self.places is None:
            mask = torch.ones(count, len(values), dtype=torch.bool, device=device)
            return Prediction(values=values.expand(count, -1, -1), mask=mask)
        values_BNC = values.new_zeros(*features.mask.shape, values.shape[1])
        for own, grid in zip(values_BNC, features.grids, strict=True):
            own[: grid.tokens] = values[place_of(grid, self.places).to(device)]
        return Prediction(values=values_BNC, mask=features.mask, cells=features.cells, grids=features.grids)


def blank(grids: Sequence[Grid]) -> Features:
    """Returns features of samples of these grids that hold no information: one channel, which is zero."""
    mask = torch.arange(max(grid.tokens for grid in grids)) < torch.tensor([[grid.tokens] for grid in grids])
    return Features(
        tokens=torch.zeros(*mask.shape, 1),
        pooled=torch.zeros(len(grids), 1),
        mask=mask,
        cells=pad_sequence([grid_cells(grid) for grid in grids], batch_first=True),
        grids=tuple(grids),
    )


@lru_cache(maxsize=256)
def place_of(grid: Grid, places: Grid) -> Tensor:
    """Returns the cell of `places` in which the centre of each cell of `grid` lies, [N] int64 in raster order.

    >>> place_of(Grid(1, 1, 4), Grid(1, 1, 2)).tolist(), place_of(Grid(2, 1, 2), Grid(1, 1, 2)).tolist()
    ([0, 0, 1, 1], [0, 1, 0, 1])
    """
    t, y, x = ((2 * torch.arange(size) + 1) * other // (2 * size) for size, other in zip(grid, places, strict=True))
    return ((t[:, None, None] * places.h + y[:, None]) * places.w + x).flatten()
