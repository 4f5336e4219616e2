"""The tokens of a sample that show its picture, and not a letterbox's border."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_cache.geometry import shown
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid


def picture_tokens(cache: Cache, point: str, row: int) -> np.ndarray:
    """Returns the tokens whose cells show the picture alone, and not a letterbox's border, [T, H, W, D]."""
    tokens_THWD: np.ndarray = cache[point].grid(row)
    return tokens_THWD[:, *picture_cells(cache.rows[row], cache[point].grid_of(row))]


def picture_cells(sample: Mapping[str, Any], grid: Grid) -> tuple[slice, slice]:
    """Returns the rows and columns of a grid whose cells lie in the part of the input that shows the picture.

    >>> letterbox = {"height": 100, "width": 200, "grid_pixel": (1, 448, 448), "fit": "letterbox"}
    >>> picture_cells(letterbox, Grid(1, 32, 32)), picture_cells(letterbox, Grid(1, 2, 2))
    ((slice(8, 24, None), slice(0, 32, None)), (slice(1, 2, None), slice(0, 2, None)))
    """
    found = []
    for part, pixels, cells in zip(shown(sample), sample["grid_pixel"][1:], grid[1:], strict=True):
        first, end = -(-part.start * cells // pixels), part.stop * cells // pixels
        found.append(slice(first, max(first + 1, end)))
    return found[0], found[1]
