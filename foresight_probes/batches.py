"""The records that flow from a cache to a head and on to a task.

Axis letters as in `foresight_cache.samples`: **B** samples, **N** tokens, **D** channels, **P** predictions of a
sample, **C** values of a prediction, **K** true objects. A box is (x0, y0, x1, y1) and a cell (centre x, centre y,
width, height), all as fractions of the image's width and height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from foresight_cache.samples import Grid

if TYPE_CHECKING:
    import torch
    from torch import Tensor


_ONE_TOKEN = Grid(1, 1, 1)

Form = Literal["per_sample", "per_token"]
"""Form of a prediction: one from the whole sample, or one from each token about the token's cell."""

Information = Literal["mean", "token", "place"]
"""Where features carry what a head reads: in their mean over tokens, in single tokens whatever the others are, or in
which cells tokens of a kind lie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSpec:
    """The predictions that a task takes from a head."""

    num_predictions: int
    """Predictions P that a pooling head makes; a head that predicts from each token makes one per token."""
    channels: int
    """Values C of each prediction."""
    predicts: tuple[Form, ...] = ("per_sample", "per_token")
    """Forms of prediction that the task takes: from the whole sample, or from each token with its cell."""
    grid: Grid = _ONE_TOKEN
    """Largest grid of the tokens that the head will see."""
    cell: tuple[int, int, int, int] | None = None
    """Frames, height, width and channels of a prediction that is a piece of a picture: C is their product, and the
    values are in that order. None for other predictions."""
    residual: bool = False
    """True where the head learns what is added to a known prediction: it begins with predictions of exactly 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """Tokens of a batch, in raster order, padded to the longest sample.

    Where only pooled features are read (`FeatureData`), `tokens` holds one zero per sample and no token exists.
    """

    tokens: Tensor
    """[B, N, D], zero where there is no token: float32 for a head, the stored type as it comes from the cache."""
    pooled: Tensor
    """[B, D] float32: the mean over each sample's tokens."""
    mask: Tensor
    """[B, N] bool: True for a token, False for padding."""
    cells: Tensor
    """[B, N, 4] float32: the part of the image that each token stands for."""
    grids: tuple[Grid, ...] = ()
    """Grid in time and space of the tokens of each of the B samples."""
    others: tuple[Features, ...] = ()
    """Features of the same samples at further points, for a head that takes several."""

    @property
    def every(self) -> tuple[Features, ...]:
        """Features of every point, these first."""
        return self, *self.others

    def to(self, device: torch.device | str) -> Features:
        """Returns the same features on a device."""
        return Features(
            tokens=self.tokens.to(device),
            pooled=self.pooled.to(device),
            mask=self.mask.to(device),
            cells=self.cells.to(device),
            grids=self.grids,
            others=tuple(other.to(device) for other in self.others),
        )

    def select(self, rows: Sequence[int]) -> Features:
        """Returns the samples at these positions of the batch."""
        picked = list(rows)
        return Features(
            tokens=self.tokens[picked],
            pooled=self.pooled[picked],
            mask=self.mask[picked],
            cells=self.cells[picked],
            grids=tuple(self.grids[row] for row in picked) if self.grids else (),
            others=tuple(other.select(picked) for other in self.others),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Predictions of a head for a batch; the task gives the numbers their meaning."""

    values: Tensor
    """[B, P, C] float32, unbounded."""
    mask: Tensor
    """[B, P] bool: True for predictions that exist."""
    cells: Tensor | None = None
    """[B, P, 4] float32: the cell that a prediction was made from; None where it was made from the whole sample."""
    grids: tuple[Grid, ...] = ()
    """Grid in time and space of the cells of each of the B samples; empty where there are none."""
    places: Tensor | None = None
    """[B, P, 2] float32: the place in the image, x and y, that a prediction from the whole sample is about; None where
    it is about no place, or was made from a cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Samples of one point with their targets for every task."""

    rows: tuple[int, ...]
    """Rows of the cache's sample table, B of them."""
    features: Features
    targets: Mapping[str, Sequence[Tensor | None]]
    """Targets of the B samples by task; None where a sample has none for the task."""
    size: int
    """Bytes of features in it."""

    def to(self, device: torch.device | str) -> Batch:
        """Returns the same batch on a device; Lightning calls it."""
        moved = {task: _moved(targets, device) for task, targets in self.targets.items()}
        return replace(self, features=self.features.to(device), targets=moved)


def _moved(targets: Sequence[Tensor | None], device: torch.device | str) -> Sequence[Tensor | None]:
    """Scalars in a single copy: a GPU would wait for many small ones longer than for the training itself."""
    import torch

    there = [target for target in targets if target is not None]
    if all(target.device == torch.device(device) for target in there):
        return targets
    if all(target.ndim == 0 for target in there):
        there = list(torch.stack(there).to(device).unbind())
    moved = iter(there)
    return [None if target is None else next(moved).to(device) for target in targets]
