"""Where features come from: points of a cache, or its pixels cut into patches, sample by sample."""

from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid

TOGETHER = "+"
"""Joins the names of points that a head takes at once."""


class Source(Protocol):
    """Tokens of every sample of a cache, by row of its sample table. Read in several threads at once."""

    @property
    def name(self) -> str:
        """Under which results stand."""
        ...

    @property
    def width(self) -> int:
        """Channels."""
        ...

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Of the numbers as they are read."""
        ...

    def read_into(self, row: int, out: np.ndarray, *, check: bool) -> None:
        """Fills `out`, [N, D] of `dtype`, in raster order; without `check` stored bytes are not verified again."""
        ...

    def grid(self, row: int) -> Grid: ...

    def shard(self, row: int) -> int:
        """Rows of one shard lie in one object."""
        ...


class PointTokens:
    """The tokens of an extraction point as they are."""

    def __init__(self, cache: Cache, name: str) -> None:
        self._point = cache[name]
        self._rows = cache.rows
        self.name = name
        self.width = self._point.shape[2]
        self.dtype = self._point.dtype

    def read_into(self, row: int, out: np.ndarray, *, check: bool) -> None:
        self._point.stored_into(row, out, check=check)

    def grid(self, row: int) -> Grid:
        return self._point.grid_of(row)

    def shard(self, row: int) -> int:
        return int(self._rows[row]["shard"])


class PixelPatches:
    """The input itself, cut into one patch per token of the cache's finest point, with values from 0 to 1.

    So a head that reads pixels has as many tokens, each from the same part of the image, as one that reads features.
    """

    name = PIXELS
    dtype = np.dtype(np.float32)

    def __init__(self, cache: Cache) -> None:
        others = [name for name in cache.points if name != PIXELS]
        if not others:
            raise ProbeError(f"{cache.path} has no point besides pixels, so there is no patch grid; extract one.")
        self._pixels = cache[PIXELS]
        self._rows = cache.rows
        self._patches = cache[max(others, key=lambda name: cache[name].shape[1])]
        self._first = next(row for row, sample in enumerate(cache.rows) if sample["status"] == "ok")

    @property
    def width(self) -> int:
        return int(self.read(self._first).shape[1])

    def read(self, row: int) -> np.ndarray:
        """float32 [N, D] in raster order."""
        return patchify(self._pixels.grid(row), self.grid(row)) / np.float32(255)

    def read_into(self, row: int, out: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - the reader verifies always
        out[:] = self.read(row)

    def grid(self, row: int) -> Grid:
        return self._patches.grid_of(row)

    def shard(self, row: int) -> int:
        return int(self._rows[row]["shard"])


def patchify(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Cuts [T, H, W, C] into the cells of a grid: [N, D] in raster order, D = C times the pixels of a patch.

    Raises `ProbeError` where the grid does not divide the pixels.

    >>> patchify(np.arange(8).reshape(1, 2, 4, 1), Grid(1, 1, 2)).tolist()  # rows 0 1 2 3 and 4 5 6 7
    [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    frames, height, width, channels = pixels.shape
    if frames % grid.t or height % grid.h or width % grid.w:
        raise ProbeError(
            f"pixels {frames}×{height}×{width} cannot be cut evenly into a grid {grid.t}×{grid.h}×{grid.w}."
        )
    cut = pixels.reshape(grid.t, frames // grid.t, grid.h, height // grid.h, grid.w, width // grid.w, channels)
    return cut.transpose(0, 2, 4, 1, 3, 5, 6).reshape(grid.tokens, -1)


def open_source(cache: Cache, name: str) -> Source:
    """Raises `UnknownName` for a point that the cache lacks."""
    return PixelPatches(cache) if name == PIXELS else PointTokens(cache, name)


def open_sources(cache: Cache, names: str) -> tuple[Source, ...]:
    """Those of `vit.block_08` or, for heads that take several points at once, of `vit.block_08+llm.layer_01`."""
    return tuple(open_source(cache, name) for name in names.split(TOGETHER))


@lru_cache(maxsize=256)
def cells(grid: Grid) -> Tensor:
    """[N, 4] float32: centre x, centre y, width and height of each token's cell; the same in every frame.

    >>> cells(Grid(1, 1, 2)).tolist()
    [[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]]
    """
    rows, columns = torch.meshgrid(torch.arange(grid.h), torch.arange(grid.w), indexing="ij")
    x, y = (columns + 0.5) / grid.w, (rows + 0.5) / grid.h
    frame = torch.stack([x, y, torch.full_like(x, 1 / grid.w), torch.full_like(y, 1 / grid.h)], dim=-1)
    return frame.reshape(-1, 4).repeat(grid.t, 1)
