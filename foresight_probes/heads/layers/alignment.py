"""Alignment of the tokens of several points of the same samples on one grid."""

import torch
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.batches import Features


def on_first_grid(features: Features) -> list[Tensor]:
    """Returns tokens [B, N, D] of every point, one for each token of the first: that of the cell that holds its centre.

    A point with one token per sample, such as a readout, gives that one to all.
    """
    return [features.tokens, *(_spread(features, other) for other in features.others)]


def _spread(first: Features, other: Features) -> Tensor:
    indices = torch.zeros(first.mask.shape, dtype=torch.int64, device=first.mask.device)
    for row, (fine, coarse) in enumerate(zip(first.grids, other.grids, strict=True)):
        indices[row, : fine.tokens] = nearest(fine, coarse).to(indices.device)
    tokens = other.tokens.gather(1, indices[..., None].expand(-1, -1, other.tokens.shape[2]))
    return tokens * first.mask[..., None]


def nearest(grid: Grid, other: Grid) -> Tensor:
    """Returns for each cell of a grid the cell of the other in which its centre lies, [N] int64.

    >>> nearest(Grid(1, 2, 4), Grid(1, 1, 2)).tolist()
    [0, 0, 1, 1, 0, 0, 1, 1]
    """
    axes = [((torch.arange(mine) + 0.5) / mine * theirs).long() for mine, theirs in zip(grid, other, strict=True)]
    t, y, x = axes[0][:, None, None], axes[1][:, None], axes[2]
    return ((t * other.h + y) * other.w + x).reshape(-1)
