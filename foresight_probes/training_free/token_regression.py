"""Ridge regression of the tokens of one point from those of another, and what it misses of each token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foresight_cache.samples import Grid

PENALTIES = tuple(10.0**power for power in range(-6, 4))
"""Penalties that are tried, in mean eigenvalues of the products of standardised channels."""
LEAST_DEVIATION = 1e-6
"""Deviation of a channel, in those of the strongest one, below which it does not vary."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and deviation of channels, by which they are standardised."""

    mean_D: Tensor
    deviation_D: Tensor
    """Infinite where a channel does not vary, so that it becomes 0."""

    @classmethod
    def of(cls, features_ND: Tensor) -> "Scale":
        """Measures them."""
        deviation_D = features_ND.double().std(0, correction=0)
        is_still_D = deviation_D <= LEAST_DEVIATION * deviation_D.max()
        return cls(features_ND.double().mean(0), deviation_D.masked_fill(is_still_D, torch.inf))

    def __call__(self, features_ND: Tensor) -> Tensor:
        """Returns standardised features, float64."""
        return (features_ND.double() - self.mean_D) / self.deviation_D


@dataclass(frozen=True, slots=True)
class TokenMap:
    """A linear map from the tokens of one point to those of another, both standardised."""

    inputs: Scale
    outputs: Scale
    weight_DE: Tensor
    """float64."""
    penalty: float
    """The one of `PENALTIES` that validation chose."""

    def misses(self, inputs_ND: Tensor, outputs_NE: Tensor) -> np.ndarray:
        """Returns squared errors of standardised channels, and squares of what there is to tell, float64 [N, E] each.

        The second are the errors of the mean token. Returned as one array [2, N, E].
        """
        truth_NE = self.outputs(outputs_NE)
        told_NE = self.inputs(inputs_ND) @ self.weight_DE
        return np.stack([((told_NE - truth_NE) ** 2).numpy(), (truth_NE**2).numpy()])


def fit(training: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor]) -> TokenMap:
    """Finds the map of least squares with the penalty of the least squared error on validation.

    The weights are (XᵀX + λ n I)⁻¹ XᵀY for n standardised training rows X [n, D] and Y [n, E] (Hoerl and Kennard,
    "Ridge Regression", Technometrics 1970), with λ in mean eigenvalues of XᵀX / n.

    Args:
        training: Rows of the point that is known, [n, D], and of the one that is told from it, [n, E].
        validation: The same of other samples.
    """
    inputs, outputs = (Scale.of(features) for features in training)
    known_ND, told_NE = inputs(training[0]), outputs(training[1])
    values_D, vectors_DD = torch.linalg.eigh(known_ND.T @ known_ND / len(known_ND))
    turned_DE = vectors_DD.T @ (known_ND.T @ told_NE) / len(known_ND)
    validated_MD, truth_ME = inputs(validation[0]) @ vectors_DD, outputs(validation[1])
    unit = values_D.mean().clamp(min=1e-12)
    best, chosen = np.inf, (PENALTIES[-1], turned_DE * 0)
    for penalty in PENALTIES:
        shrunk_DE = turned_DE / (values_D.clamp(min=0) + penalty * unit)[:, None]
        error = float((validated_MD @ shrunk_DE - truth_ME).square().mean())
        if error < best:
            best, chosen = error, (penalty, shrunk_DE)
    return TokenMap(inputs, outputs, vectors_DD @ chosen[1], chosen[0])


def cell_tokens(tokens_THWD: np.ndarray, grid: Grid) -> np.ndarray:
    """Returns for each cell of a grid the tokens that lie in it, one behind the other, [N, C·D].

    C is the number of tokens of a cell, in raster order, where each side of the tokens' grid is a multiple of the
    cells'; else 1, the token in which the centre of the cell lies.

    >>> cell_tokens(np.arange(8.0).reshape(1, 2, 4, 1), Grid(1, 1, 2)).tolist()
    [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]
    """
    *own, width = tokens_THWD.shape
    if all(mine % theirs == 0 for mine, theirs in zip(own, grid, strict=True)):
        sizes = [size for mine, theirs in zip(own, grid, strict=True) for size in (theirs, mine // theirs)]
        blocks = tokens_THWD.reshape(*sizes, width).transpose(0, 2, 4, 1, 3, 5, 6)
        return blocks.reshape(grid.tokens, -1)
    indices = [((np.arange(theirs) + 0.5) / theirs * mine).astype(int) for mine, theirs in zip(own, grid, strict=True)]
    nearest: np.ndarray = tokens_THWD[np.ix_(*indices)].reshape(grid.tokens, width)
    return nearest


def token_grid(values_NC: np.ndarray, grid: Grid, own: Sequence[int]) -> np.ndarray:
    """Returns a value for each token from those of `cell_tokens`, [T, H, W] of the tokens' own grid.

    >>> token_grid(np.array([[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]), Grid(1, 1, 2), (1, 2, 4)).tolist()
    [[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]]
    """
    inner = [mine // theirs for mine, theirs in zip(own, grid, strict=True)]
    if values_NC.shape[1] == 1:
        return values_NC.reshape(grid)
    return values_NC.reshape(*grid, *inner).transpose(0, 3, 1, 4, 2, 5).reshape(own)
