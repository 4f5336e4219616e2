"""Token order: from the order in which a model computes tokens to raster order.

A plain forward hook on a Qwen-style vision tower sees tokens in an order that is not raster, for two reasons:

1. **Merge groups.** The processor emits patches so that the merge × merge patches of one merge unit are
   neighbours: unit by unit in raster order, and inside each unit again in raster order.
2. **Windows.** The tower then reorders the merge units so that the units of one attention window are
   neighbours. It undoes this only after its merger.

Samples of one batch lie packed one after the other; each has its own grid.

An *order* here is a vector of int64: `order[position]` is the raster index of the token at that position.
"""

from collections.abc import Sequence

import torch

from foresight_cache.samples import Grid


def merge_group_order(grids: Sequence[Grid], merge: int) -> torch.Tensor:
    """Returns the order in which a processor emits the patches of packed samples, [sum of N].

    `grids` count patches; heights and widths are multiples of `merge`. In a 2×4 grid with merge 2 the left four
    patches (raster 0 1 4 5) come before the right four:

    >>> merge_group_order([Grid(1, 2, 4)], merge=2).tolist()
    [0, 1, 4, 5, 2, 3, 6, 7]

    A second sample follows with its own grid, its indices counted on:

    >>> merge_group_order([Grid(1, 2, 2), Grid(1, 2, 4)], merge=2).tolist()
    [0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11]
    """
    orders, start = [], 0
    for grid in grids:
        raster = torch.arange(start, start + grid.tokens)
        blocks = raster.view(grid.t, grid.h // merge, merge, grid.w // merge, merge)
        orders.append(blocks.transpose(2, 3).flatten())
        start += grid.tokens
    return torch.cat(orders)


def expand_units(units: torch.Tensor, size: int) -> torch.Tensor:
    """Turns an order of merge units into one of the `size` tokens that each unit holds side by side.

    >>> expand_units(torch.tensor([2, 0, 1]), size=2).tolist()
    [4, 5, 0, 1, 2, 3]
    """
    return (units[:, None] * size + torch.arange(size)).flatten()


def window_patch_order(grids: Sequence[Grid], merge: int, units: torch.Tensor) -> torch.Tensor:
    """Returns the order of patches inside the tower, [sum of N], where `units` is the order of merge units there.

    The window order says which merge group stands at a position, the merge-group order which patch that is.
    With two merge groups side by side and the right one computed first:

    >>> window_patch_order([Grid(1, 2, 4)], merge=2, units=torch.tensor([1, 0])).tolist()
    [2, 3, 6, 7, 0, 1, 4, 5]
    """
    return merge_group_order(grids, merge)[expand_units(units, merge**2)]


def inverse(order: torch.Tensor) -> torch.Tensor:
    """Returns the index that brings tokens in this order into raster order: `tokens[inverse(order)]` is raster.

    >>> order = torch.tensor([2, 0, 1])
    >>> tokens = order * 10
    >>> tokens[inverse(order)].tolist()
    [0, 10, 20]
    """
    positions = torch.empty_like(order)
    positions[order] = torch.arange(len(order))
    return positions
