"""The mean predictor, which uses no feature of the image: what a probe must be compared with."""

from collections.abc import Callable

import numpy as np

from foresight_cache.samples import Grid

MEAN_PREDICTOR = "mean-predictor"
"""Name under which the best constant answer stands among the points."""


class Constant:
    """Features without information: the value zero for every sample, in one token or in a token per cell.

    On them a head has nothing but its biases, so that it becomes a constant answer: the mean or the shares of classes,
    which are known, or a fixed set of boxes or picture, which is trained. What it reaches is chance.
    """

    name = MEAN_PREDICTOR
    width = 1
    dtype = np.dtype(np.float32)

    def __init__(self, grid_of: Callable[[int], Grid] | None = None) -> None:
        """Takes the grid of a sample by its row, for heads that predict something per cell; None for one cell."""
        self._grid_of = grid_of

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - the same for every sample
        out_ND[:] = 0

    def grid(self, row: int) -> Grid:
        return self._grid_of(row) if self._grid_of else Grid(1, 1, 1)

    def shard(self, row: int) -> int:  # noqa: ARG002
        return 0
