"""How well tokens tell what the model saw at their places, if they are in raster order or in one of the usual others.

A token that lies on a grid knows more of its own patch than of any other, at every depth. So a linear map from tokens
to colours and gradients of patches, scored on other samples, is best for the order in which the tokens really are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foresight_cache.samples import Grid
from foresight_cache.token_order import RASTER

TARGETS = 7
"""Numbers that describe a patch: mean red, green and blue, mean of the two gradients, and of their magnitudes."""
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties in numbers of training tokens; the best one counts, for each order alike."""
_LOOKED_AT = 14
"""Pixels along a side of a patch that are enough for its colours and gradients."""
_GROUP, _WINDOW = 2, 4
"""Patches along a side of a merge group, merge groups along a side of a window."""


def places(order: str, grid: Grid, *, merged: bool) -> NDArray[np.int64]:
    """Returns the raster index of each token if tokens are in this order; `merged` says that they are merge groups.

    >>> places("merge_groups", Grid(1, 2, 4), merged=False).tolist()
    [0, 1, 4, 5, 2, 3, 6, 7]
    >>> places("windows", Grid(1, 2, 8), merged=True).tolist()
    [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
    """
    if order == "window_units":
        return _by_window_units(grid, merged=merged)
    t, y, x = (axis.ravel() for axis in np.indices(grid))
    if order == RASTER:
        return np.arange(grid.tokens)
    inner = (y // _GROUP, x // _GROUP) if order == "merge_groups" or not merged else ()
    side = _WINDOW if merged else _GROUP * _WINDOW
    outer = (y // side, x // side) if order == "windows" else ()
    return np.lexsort((x, y, *reversed((t, *outer, *inner)))).astype(np.int64)


def _by_window_units(grid: Grid, *, merged: bool) -> NDArray[np.int64]:
    """Returns raster places if only the order of merge groups is that of windows; a grid of odd sides has no groups."""
    if merged or grid.h % _GROUP or grid.w % _GROUP:
        return places("windows" if merged else RASTER, grid, merged=merged)
    units = Grid(grid.t, grid.h // _GROUP, grid.w // _GROUP)
    t, y, x = (axis.ravel() for axis in np.indices(grid))
    own = np.ravel_multi_index((t, y // _GROUP, x // _GROUP), units)
    t, rows, columns = np.unravel_index(places("windows", units, merged=True)[own], units)
    cells: NDArray[np.int64] = np.ravel_multi_index(
        (t, rows * _GROUP + y % _GROUP, columns * _GROUP + x % _GROUP), grid
    )
    return cells


def patch_targets(pixels_THWC: np.ndarray, grid: Grid, cells: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns the description [K, 7] of the patches at these raster indices of a grid over uint8 pixels.

    >>> ramp = np.broadcast_to(np.arange(4, dtype=np.uint8)[:, None, None], (1, 4, 2, 3))
    >>> patch_targets(ramp, Grid(1, 2, 1), np.array([1])).round(2).tolist()
    [[2.5, 2.5, 2.5, 0.0, 1.0, 0.0, 1.0]]
    """
    frames, height, width = pixels_THWC.shape[:3]
    t, y, x = np.unravel_index(cells, grid)

    def covered(index: np.ndarray, pixels: int, count: int) -> np.ndarray:
        size = -(-pixels // count)
        inside = (index * pixels // count)[:, None] + np.arange(0, size, max(1, size // _LOOKED_AT))
        return np.minimum(inside, pixels - 1)

    steps, rows, columns = covered(t, frames, grid.t), covered(y, height, grid.h), covered(x, width, grid.w)
    patches_KTHWC = pixels_THWC[steps[:, :, None, None], rows[:, None, :, None], columns[:, None, None, :]]
    values_KHWC = patches_KTHWC.astype(np.float32).mean(axis=1)
    grey_KHW = values_KHWC.mean(axis=3)
    across, down = np.diff(grey_KHW, axis=2), np.diff(grey_KHW, axis=1)
    gradients = [_mean(across), _mean(down), _mean(np.abs(across)), _mean(np.abs(down))]
    return np.column_stack([values_KHWC.mean(axis=(1, 2)), *gradients]).astype(np.float32)


def narrowed(tokens_ND: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Returns tokens of at most `width` channels: sums of channels with random signs, a sparse random projection."""
    count, channels = tokens_ND.shape
    if channels <= width:
        return tokens_ND
    share = -(-channels // width)
    signs = np.random.default_rng(0).choice(np.array([-1.0, 1.0], np.float32), channels)
    padded = np.zeros((count, width * share), np.float32)
    np.multiply(tokens_ND, signs, out=padded[:, :channels])
    sums: NDArray[np.float32] = padded.reshape(count, width, share).sum(axis=2)
    return sums


def ridge_scores(
    tokens_ND: NDArray[np.float32], targets_NC: Sequence[NDArray[np.float32]], tested_N: NDArray[np.bool_]
) -> list[float]:
    """Returns for each set of targets the mean R² of a ridge regression on the tokens that are tested.

    Everything is standardised by the tokens that are not. Targets that hardly vary are left out; without any, it is 0.
    """
    trained = ~tested_N
    mean, scale = tokens_ND[trained].mean(axis=0), tokens_ND[trained].std(axis=0)
    standard_ND = np.where(scale > 0, (tokens_ND - mean) / np.where(scale > 0, scale, 1), 0).astype(np.float32)
    train_ND, test_ND = standard_ND[trained], standard_ND[tested_N]
    values, vectors = np.linalg.eigh((train_ND.T @ train_ND).astype(np.float64))
    rotated_test = test_ND @ vectors
    scores = []
    for each_NC in targets_NC:
        centre = each_NC[trained].mean(axis=0)
        projected = vectors.T @ (train_ND.T @ (each_NC[trained] - centre)).astype(np.float64)
        truth = each_NC[tested_N] - centre
        spread = np.square(truth - truth.mean(axis=0)).sum(axis=0)
        usable = spread > _FLAT * len(truth)
        best = 0.0
        for penalty in PENALTIES:
            found = rotated_test @ (projected / (values + penalty * len(train_ND))[:, None])
            errors = np.square(truth - found).sum(axis=0)[usable]
            best = max(best, float((1 - errors / spread[usable]).mean()) if usable.any() else 0.0)
        scores.append(best)
    return scores


_FLAT = 1e-2
"""Variance, in squares of the 256 levels of a pixel, below which a target does not vary."""


def _mean(values_KHW: np.ndarray) -> np.ndarray:
    """Mean of each patch; 0 for patches of a single pixel, which have no gradient."""
    return values_KHW.mean(axis=(1, 2)) if values_KHW.size else np.zeros(len(values_KHW), np.float32)
