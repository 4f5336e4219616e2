"""Patches of pixels: pictures cut into the cells of a grid of tokens and put together again.

A piece is the values of a cell in the order frames, height, width, channels. Each token draws its own piece, so that
any head that predicts per token can draw.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid

MOST = 2**17
"""Largest number of values of a piece, more than 200×200 pixels in colour; a picture needs more tokens than one."""

Cell = tuple[int, int, int, int]
"""Frames, height, width and channels of a piece."""


def patchify(pixels_THWC: Tensor, grid: Grid) -> Tensor:
    """Cuts pixels into the cells of a grid: [N, D] in raster order, D = C times the pixels of a cell.

    Raises `ProbeError` where the grid does not divide the pixels.

    >>> patchify(torch.arange(8).reshape(1, 2, 4, 1), Grid(1, 1, 2)).tolist()  # rows 0 1 2 3 and 4 5 6 7
    [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    frames, height, width, channels = pixels_THWC.shape
    if frames % grid.t or height % grid.h or width % grid.w:
        raise ProbeError(
            f"pixels {frames}×{height}×{width} cannot be cut evenly into a grid {grid.t}×{grid.h}×{grid.w}; "
            "use an input size that the grid divides"
        )
    shape = (grid.t, frames // grid.t, grid.h, height // grid.h, grid.w, width // grid.w, channels)
    return pixels_THWC.reshape(shape).permute(0, 2, 4, 1, 3, 5, 6).reshape(grid.tokens, -1)


def unpatchify(pieces_NC: Tensor, grid: Grid, cell: Cell) -> Tensor:
    """Puts pieces together to the picture [T, H, W, channels] that was cut into them.

    >>> pieces = patchify(torch.arange(8).reshape(1, 2, 4, 1), Grid(1, 1, 2))
    >>> unpatchify(pieces, Grid(1, 1, 2), (1, 2, 2, 1))[0, 1, :, 0].tolist()
    [4, 5, 6, 7]
    """
    frames, height, width, channels = cell
    apart = pieces_NC.reshape(grid.t, grid.h, grid.w, frames, height, width, channels).permute(0, 3, 1, 4, 2, 5, 6)
    return apart.reshape(grid.t * frames, grid.h * height, grid.w * width, channels)


def grid_of(cells_N4: Tensor) -> Grid:
    """Returns the grid on which cells, all of one size and in raster order, lie.

    >>> grid_of(torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]] * 3))
    Grid(t=3, h=1, w=2)
    """
    width, height = (round(1 / float(side)) for side in cells_N4[0, 2:])
    return Grid(len(cells_N4) // (height * width), height, width)


def cell_shape(samples: Sequence[Mapping[str, Any]], grid: Grid, channels: int) -> Cell:
    """Returns the shape of the piece that each token draws, from a point's largest grid and the samples of the cache.

    Raises `ProbeError` where the pixels of the largest sample cannot be cut into the grid, and where pieces would be
    huge because the point has few tokens.
    """
    sizes = [sample["grid_pixel"] for sample in samples if sample.get("grid_pixel")]
    frames, height, width = (max((size[axis] for size in sizes), default=grid[axis]) for axis in range(3))
    shape = f"{frames}×{height}×{width} pixels into a grid of {grid.t}×{grid.h}×{grid.w} tokens"
    if frames % grid.t or height % grid.h or width % grid.w:
        raise ProbeError(f"a picture cannot be drawn token by token: {shape} do not go evenly; use another point")
    cell = (frames // grid.t, height // grid.h, width // grid.w, channels)
    if cell[0] * cell[1] * cell[2] * channels > MOST:
        raise ProbeError(f"a picture cannot be drawn from so few tokens: {shape}; use a point with dense tokens")
    return cell


@lru_cache(maxsize=256)
def grid_cells(grid: Grid) -> Tensor:
    """Returns centre x, centre y, width and height of each token's cell, [N, 4] float32; the same in every frame.

    >>> grid_cells(Grid(1, 1, 2)).tolist()
    [[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]]
    """
    rows, columns = torch.meshgrid(torch.arange(grid.h), torch.arange(grid.w), indexing="ij")
    x, y = (columns + 0.5) / grid.w, (rows + 0.5) / grid.h
    frame = torch.stack([x, y, torch.full_like(x, 1 / grid.w), torch.full_like(y, 1 / grid.h)], dim=-1)
    return frame.reshape(-1, 4).repeat(grid.t, 1)
