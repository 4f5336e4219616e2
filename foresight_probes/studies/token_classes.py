"""What each token of a sample shows, by the rule of the task `patch-class`."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.features.patches import grid_cells
from foresight_probes.sweeps.targets import DenseTargets
from foresight_probes.tasks import TaskContext

TASK = "patch-class"
BACKGROUND = 0
"""Class of tokens in no box, where classes are those of boxes."""


class TokenClasses:
    """Classes of tokens: the most frequent label of each cell, or the smallest box that holds its centre."""

    def __init__(self, cache: Cache, rows: Sequence[int]) -> None:
        """Takes samples of a cache, by their rows in its table."""
        samples = [cache.rows[row] for row in rows]
        self._frames = {row: (cache.rows[row]["grid_pixel"] or (1,))[0] for row in rows}
        self.missing = ""
        """Why no token has a class, in words; empty where some have one."""
        self._targets: Mapping[int, Tensor] = {}
        try:
            self._task = tasks.load(TASK, TaskContext(samples=samples, training=samples))
            answered = [row for row in rows if self._task.has_target(cache.rows[row])]
            self._targets = DenseTargets(cache, self._task, answered)
        except ProbeError as error:
            self.missing = str(error)
        if not self._targets and not self.missing:
            self.missing = "no sample has boxes or dense labels"
        self.has_background = not self.missing and not self._task.needs_arrays
        """True where classes are those of boxes, so that what is in none of them is background."""

    def has(self, row: int) -> bool:
        """Tells whether anything is known of the tokens of a sample."""
        return not self.missing and row in self._targets

    def of(self, row: int, grid: Grid) -> np.ndarray:
        """Returns the class of each token of a grid, int64 [N] in raster order; -1 where nobody knows it.

        Boxes of a clip are those of its middle frame, so that no more than tokens of its time step have a class.
        """
        if not self.has(row):
            return np.full(grid.tokens, -1, np.int64)
        classes_N = self._task.target_class(self._targets[row], grid_cells(grid)).numpy().copy()
        if self.has_background and grid.t > 1:
            middle = self._frames[row] // 2 * grid.t // self._frames[row]
            classes_N.reshape(grid.t, -1)[np.arange(grid.t) != middle] = -1
        return classes_N

    def name(self, number: int) -> str:
        """Returns the name of a class."""
        return self._task.class_name(number)
