"""Tokens of two points of a cache row by row, before a connector and after it, in the cells of the coarser one."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from foresight_cache.geometry import shown
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.options import TrainingOptions
from foresight_probes.similarity.chance import choose
from foresight_probes.splits import side_of
from foresight_probes.studies.picture_tokens import picture_tokens
from foresight_probes.sweeps.targets import usable_rows
from foresight_probes.tasks.kinds.cell_means import evenly
from foresight_probes.training_free.token_regression import TokenMap, cell_tokens

COMPARED = 1024
"""Tokens of all samples whose neighbours are compared, at most."""
LEARNT, CHOOSING = 16384, 4096
"""Tokens that a regression learns from, and tokens that choose its penalty, at most."""

Pair = tuple[np.ndarray, np.ndarray]
"""Features before and after, float32, of the same rows."""


class ConnectorTokens:
    """Tokens of a point before a connector, each with that of a point after it in whose cell it lies."""

    def __init__(self, cache: Cache, before: str, after: str) -> None:
        self.cache, self.before, self.after = cache, before, after

    def before_grid(self, row: int) -> Grid:
        """Returns a sample's grid before the connector, or after it where sides are no multiples."""
        own, coarse = self.cache[self.before].grid_of(row), self.after_grid(row)
        return own if all(mine % theirs == 0 for mine, theirs in zip(own, coarse, strict=True)) else coarse

    def after_grid(self, row: int) -> Grid:
        """Returns a sample's grid after the connector."""
        return self.cache[self.after].grid_of(row)

    def tokens(self, row: int) -> Pair:
        """Returns all tokens of a sample, [N, C·D] and [N, E], for each cell of the grid after the connector."""
        after_THWD, before_THWD = self.cache[self.after].grid(row), self.cache[self.before].grid(row)
        before_ND = cell_tokens(before_THWD, self.after_grid(row))
        return before_ND.astype(np.float32), after_THWD.reshape(len(before_ND), -1).astype(np.float32)

    def tensors(self, row: int) -> tuple[Tensor, Tensor]:
        """Returns what is known, [N, E], and what is told from it, [N, C·D], of one sample."""
        before_ND, after_ND = self.tokens(row)
        return torch.from_numpy(after_ND), torch.from_numpy(before_ND)

    def means(self, rows: Sequence[int]) -> Pair:
        """Returns means over the tokens that show the picture, a row for each sample."""
        before, after = (
            np.stack([picture_tokens(self.cache, point, row).mean((0, 1, 2), dtype=np.float64) for row in rows])
            for point in (self.before, self.after)
        )
        return before.astype(np.float32), after.astype(np.float32)

    def placed(self, rows: Sequence[int]) -> Pair:
        """Returns tokens at the same few places of each sample's picture, those of a sample behind each other."""
        side = max(1, int((COMPARED / len(rows)) ** 0.5 + 1e-9))
        grids = [self.after_grid(row) for row in rows]
        sides = [min(side, *(grid[axis] for grid in grids)) for axis in (1, 2)]
        found = [self._placed(row, sides) for row in rows]
        before, after = (np.concatenate([pair[part] for pair in found]) for part in (0, 1))
        return before, after

    def _placed(self, row: int, sides: Sequence[int]) -> Pair:
        grid, sample = self.after_grid(row), self.cache.rows[row]
        axes, size = [], (sample["grid_pixel"] or grid)[1:]
        for count, part, pixels, cells in zip(sides, shown(sample), size, grid[1:], strict=True):
            middles = part.start + (np.arange(count) + 0.5) / count * (part.stop - part.start)
            axes.append((middles / pixels * cells).astype(int))
        numbers = ((grid.t // 2 * grid.h + axes[0][:, None]) * grid.w + axes[1]).ravel()
        before_ND, after_ND = self.tokens(row)
        return before_ND[numbers], after_ND[numbers]

    def side(self, side: str, most: int) -> list[int]:
        """Returns rows of one good sample of each group of a side of the split, of so many groups at most."""
        shares = TrainingOptions()
        rows = [
            row
            for row in usable_rows(self.cache)
            if side
            == side_of(
                str(self.cache.rows[row]["group"]),
                train_share=shares.train_share,
                validation_share=shares.validation_share,
            )
        ]
        return [rows[position] for position in choose([self.cache.rows[row] for row in rows], most)]

    def sampled(self, rows: Sequence[int], most_tokens: int) -> tuple[Tensor, Tensor]:
        """Returns what is known and what is told from it, of tokens evenly spaced in all of the samples."""
        most = most_tokens // max(1, len(rows))
        parts = []
        for row in rows:
            known, told = self.tensors(row)
            kept = evenly(range(len(known)), max(1, most))
            parts.append((known[kept], told[kept]))
        inputs, outputs = (torch.cat([pair[part] for pair in parts]) for part in (0, 1))
        return inputs, outputs

    def place_means(self, rows: Sequence[int], scales: TokenMap) -> Callable[[int], Tensor]:
        """Returns what tells a sample's standardised tokens by their places alone, as means over samples, [N, C·D].

        Samples of other grids than the first one's are told by the nearest place of that.
        """
        first = self.after_grid(rows[0])
        same = [row for row in rows if self.after_grid(row) == first]
        total = sum(scales.outputs(self.tensors(row)[1]) for row in same)
        means_THWD = (torch.as_tensor(total) / len(same)).numpy().reshape(*first, -1)

        def told(row: int) -> Tensor:
            grid = self.after_grid(row)
            if grid == first:
                return torch.from_numpy(means_THWD.reshape(grid.tokens, -1))
            indices = [((np.arange(own) + 0.5) / own * mine).astype(int) for own, mine in zip(grid, first, strict=True)]
            return torch.from_numpy(means_THWD[np.ix_(*indices)].reshape(grid.tokens, -1))

        return told
