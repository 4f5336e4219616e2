"""Which tokens show the picture, and not a letterbox's border."""

import numpy as np

from foresight_cache.geometry import shown
from foresight_cache.sample_table import SampleTableRow
from foresight_cache.samples import Grid


def shows_picture(sample: SampleTableRow, grid: Grid) -> np.ndarray:
    """Returns for each token of a grid whether its centre lies in the part of the input that shows the picture.

    bool [N]. Grids of another kind than pictures have, such as of words, are taken as they are.
    """
    pixels = sample["grid_pixel"]
    if pixels is None or grid.h > pixels.h or grid.w > pixels.w:
        return np.ones(grid.tokens, bool)
    rows, columns = shown(sample)
    y_H = (np.arange(grid.h) + 0.5) * pixels.h / grid.h
    x_W = (np.arange(grid.w) + 0.5) * pixels.w / grid.w
    seen_HW = ((y_H >= rows.start) & (y_H < rows.stop))[:, None] & ((x_W >= columns.start) & (x_W < columns.stop))
    return np.tile(seen_HW.ravel(), grid.t)
