"""Tokens brought from their own grid to that of a latent, by the area of overlap in space and in time."""

import statistics

import torch
from torch import Tensor, nn

from foresight_probes.adapters.lattice import Lattice, overlaps


class Resampling(nn.Module):
    """The mean of tokens over each cell of another lattice, weighted by how much of the cell each of them covers.

    Each step of the wanted lattice is cut into `slots` parts, which stand beside each other as channels: what happens
    within the eight frames of a step is not averaged away where tokens have more steps than that.
    """

    time_ST: Tensor
    rows_HY: Tensor
    columns_WX: Tensor

    def __init__(self, given: Lattice, wanted: Lattice) -> None:
        super().__init__()
        self.given = given.grid
        self.slots = slots_of(given, wanted)
        cut = wanted.slotted(self.slots)
        self.wanted = cut.grid
        for name, one, other in (
            ("time_ST", cut.steps, given.steps),
            ("rows_HY", cut.rows, given.rows),
            ("columns_WX", cut.columns, given.columns),
        ):
            self.register_buffer(name, torch.from_numpy(overlaps(one, other)).float(), persistent=False)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Returns [B, Q, slots · D] for tokens in raster order."""
        batch, _, width = tokens_BND.shape
        tokens_BTYXD = tokens_BND.reshape(batch, *self.given, width)
        tokens_BSYXD = torch.einsum("st,btyxd->bsyxd", self.time_ST, tokens_BTYXD)
        tokens_BSHXD = torch.einsum("hy,bsyxd->bshxd", self.rows_HY, tokens_BSYXD)
        cells_BSHWD = torch.einsum("wx,bshxd->bshwd", self.columns_WX, tokens_BSHXD)
        apart = cells_BSHWD.reshape(batch, -1, self.slots, self.wanted.h, self.wanted.w, width)
        return apart.permute(0, 1, 3, 4, 2, 5).reshape(batch, -1, self.slots * width)


def slots_of(given: Lattice, wanted: Lattice) -> int:
    """Returns how many steps of the tokens fall into a step of the latent, at most.

    >>> from foresight_cache.samples import Grid
    >>> latent = Lattice.of_latent(Grid(2, 1, 1), 9)
    >>> [slots_of(Lattice.of_tokens(Grid(steps, 1, 1), 9), latent) for steps in (9, 5, 1)]
    [8, 4, 1]
    """
    longest = max(last - first for first, last in wanted.steps)
    usual = statistics.median(last - first for first, last in given.steps)
    return max(1, round(longest / usual))
