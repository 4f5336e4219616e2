"""Where tokens and cells of latents lie: their grid in space, and the frames that each of their steps covers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

from foresight_cache.errors import UsageError
from foresight_cache.samples import Grid

Spans = tuple[tuple[float, float], ...]
"""First frame of each step and the frame after its last one; frames are counted from 0."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """A grid of tokens or of cells over a clip; in space it covers the whole picture evenly."""

    grid: Grid
    steps: Spans

    @classmethod
    def of_tokens(cls, grid: Grid, frames: int) -> Self:
        """Returns the lattice of tokens that divide frames evenly; a last step may lack some.

        Qwen's models see frames in pairs, and the last one of an odd number twice.

        >>> Lattice.of_tokens(Grid(5, 1, 1), 9).steps[-2:]
        ((6.0, 8.0), (8.0, 9.0))
        """
        each = -(-frames // grid.t)
        if -(-frames // each) != grid.t:  # more steps than whole frames would give
            return cls(grid, _spans(np.linspace(0, frames, grid.t + 1)))
        return cls(grid, _spans(np.minimum(np.arange(grid.t + 1) * each, frames)))

    @classmethod
    def of_latent(cls, grid: Grid, frames: int) -> Self:
        """Returns the lattice of a latent: its first step is the first frame alone, the others as many frames each.

        Where it has a step for each frame they were encoded one by one. Raises `UsageError` for a number of steps that
        no VAE makes of so many frames.

        >>> Lattice.of_latent(Grid(3, 7, 7), 17).steps
        ((0.0, 1.0), (1.0, 9.0), (9.0, 17.0))
        """
        rest = max(grid.t - 1, 1)
        if grid.t > frames or (frames - 1) % rest or (grid.t == 1 and frames > 1):
            raise UsageError(
                f"a latent of {grid.t} steps is not one of {frames} frames, of which the first step is the first frame "
                "and the others have as many each; extract the latents again"
            )
        return cls(grid, _spans([0, *np.linspace(1, frames, grid.t)] if grid.t > 1 else [0, 1]))

    def slotted(self, slots: int) -> "Lattice":
        """Returns the lattice with each step cut into as many equal parts.

        >>> Lattice(Grid(1, 1, 1), ((1.0, 9.0),)).slotted(2).steps
        ((1.0, 5.0), (5.0, 9.0))
        """
        steps = [span for first, last in self.steps for span in _spans(np.linspace(first, last, slots + 1))]
        return Lattice(self.grid._replace(t=self.grid.t * slots), tuple(steps))

    @property
    def rows(self) -> Spans:
        """Top and bottom of each row, as fractions of the picture's height."""
        return _spans(np.linspace(0, 1, self.grid.h + 1))

    @property
    def columns(self) -> Spans:
        """Left and right of each column, as fractions of the picture's width."""
        return _spans(np.linspace(0, 1, self.grid.w + 1))

    def centres(self) -> np.ndarray:
        """Returns the middle of each cell, [N, 3] float64: frames, and fractions of height and width."""
        axes = [np.array(spans).mean(1) for spans in (self.steps, self.rows, self.columns)]
        centres: np.ndarray = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        return centres


def overlaps(wanted: Spans, given: Spans) -> np.ndarray:
    """Returns by how much each wanted span is covered by each given one, [W, G] float64; rows add up to 1.

    A span that none of the given ones covers takes the nearest.

    >>> overlaps(((0.0, 1.0), (1.0, 9.0)), ((0.0, 2.0), (2.0, 9.0)))
    array([[1.   , 0.   ],
           [0.125, 0.875]])
    """
    (first_W, last_W), (first_G, last_G) = np.array(wanted, float).T, np.array(given, float).T
    shared_WG = np.minimum(last_W[:, None], last_G) - np.maximum(first_W[:, None], first_G)
    weights_WG = np.where(
        shared_WG.max(1, keepdims=True) > 0, shared_WG.clip(0), shared_WG >= shared_WG.max(1)[:, None]
    )
    shares: np.ndarray = weights_WG / weights_WG.sum(1, keepdims=True)
    return shares


def _spans(ends: Sequence[float] | np.ndarray) -> Spans:
    return tuple((float(first), float(last)) for first, last in pairwise(ends))
