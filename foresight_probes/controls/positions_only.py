"""Features that tell where a token lies and nothing else, the same for all samples.

A task that they answer asks for no look at the sample. They need one pass for all points.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import controls
from foresight_probes.features.sources import POINT_SEPARATOR, Source
from foresight_probes.tasks import Task

NAME = "positions-only"

OCTAVES = 5
"""Frequencies of sines along each axis, each twice the one before."""


class Control(controls.Control):
    """Sines of the place in time and space, on the grid of the cache's finest point."""

    above = True
    changes_features = True

    def fits(self, task: Task) -> bool:
        """Not where targets are made of features: what places tell of those is the mean predictor."""
        return task.targets_from != "features"

    def point_for(self, point: str) -> str | None:
        return None if POINT_SEPARATOR in point else NAME

    def sources(self, point: str) -> Sequence[Source]:  # noqa: ARG002 - one for all
        return [Positions(self.context.cache)]


class Positions:
    """Sines and cosines of each token's place; a `Source`."""

    name = NAME
    width = 3 * 2 * OCTAVES
    dtype = np.dtype(np.float32)

    def __init__(self, cache: Cache) -> None:
        others = [name for name in cache.points if name != PIXELS] or list(cache.points)
        self._finest = cache[max(others, key=lambda name: cache[name].shape[1])]

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - nothing is stored
        out_ND[:] = sines(self.grid(row))

    def grid(self, row: int) -> Grid:
        return self._finest.grid_of(row)

    def shard(self, row: int) -> int:  # noqa: ARG002 - nothing is read
        return 0


@lru_cache(maxsize=64)
def sines(grid: Grid) -> np.ndarray:
    """Returns sin and cos of 2^k π times each coordinate of each cell's centre, a fraction, [N, 6 OCTAVES] float32."""
    axes = np.meshgrid(*((np.arange(size) + 0.5) / size for size in grid), indexing="ij")
    angles = np.stack([2.0**octave * np.pi * axis.ravel() for axis in axes for octave in range(OCTAVES)], axis=1)
    waves: np.ndarray = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
    return waves
