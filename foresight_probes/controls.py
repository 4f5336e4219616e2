"""What a probe's number must be compared with: answers that use no feature of the image."""

import numpy as np

from foresight_cache.samples import Grid

MEAN_PREDICTOR = "mean-predictor"
"""Name under which the best constant answer stands among the points."""


class Constant:
    """Features without information: one token with the value zero for every sample.

    On them a head has nothing but its biases, so training finds the constant answer with the least loss: for a
    regression the mean, for boxes a fixed set of boxes. What it reaches is chance.
    """

    name = MEAN_PREDICTOR
    width = 1

    def read(self, row: int) -> np.ndarray:  # noqa: ARG002 - the same for every sample
        return np.zeros((1, 1), np.float32)

    def grid(self, row: int) -> Grid:  # noqa: ARG002
        return Grid(1, 1, 1)
