"""How alike two ways are in which the same samples resemble each other, and how alike they would be by chance.

A way is a matrix between all rows of a representation, of norm 1: its Gram matrix, or which rows are nearest
neighbours. The sum of the products of two such matrices is linear CKA, or the share of common neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ROUNDING = 1e-6
"""Difference up to which two alignments of float32 matrices count as equal."""


@dataclass(frozen=True, slots=True)
class AlignmentTest:
    """Alignments of P matrices with Q others, against those of samples that are exchanged; NaN where undefined."""

    values_PQ: np.ndarray
    chance_PQ: np.ndarray
    """Mean over permutations."""
    p_values_PQ: np.ndarray
    """(1 + permutations with as much) / (1 + permutations)."""


def gram(features_SD: Tensor) -> Tensor:
    """Returns the products of all pairs of centred rows, [S, S] float32 of norm 1; NaN where features do not vary.

    >>> gram(torch.tensor([[1.0], [3.0]]))
    tensor([[ 0.5000, -0.5000],
            [-0.5000,  0.5000]])
    """
    if not _varies(features_SD):
        return _undefined(features_SD)
    away = features_SD.double() - features_SD[:1].double()
    away = away - away.mean(0)
    products: Tensor = away @ away.mT
    return products.div(products.norm()).float()


def neighbours(features_SD: Tensor, count: int) -> Tensor:
    """Returns which rows are among the nearest ones of each, by cosine, [S, S] float32 of norm 1.

    NaN where features do not vary or are not finite. Of rows that are as near the first ones count.

    >>> neighbours(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1).mul(3**0.5).round()
    tensor([[0., 1., 0.],
            [1., 0., 0.],
            [0., 1., 0.]])
    """
    if not _varies(features_SD):
        return _undefined(features_SD)
    directions = functional.normalize(features_SD.double(), dim=1)
    near = (directions @ directions.mT).fill_diagonal_(-torch.inf)
    nearest = near.argsort(dim=1, descending=True, stable=True)[:, :count]
    chosen = torch.zeros_like(near, dtype=torch.float32).scatter_(1, nearest, 1.0)
    return chosen.div((len(chosen) * count) ** 0.5)


def _varies(features_SD: Tensor) -> bool:
    """Returns whether features are finite and differ by more than rounding."""
    most, away = features_SD.abs().max(), (features_SD - features_SD[:1]).abs().max()
    return bool(most.isfinite() and away > ROUNDING * most)


def _undefined(features_SD: Tensor) -> Tensor:
    return torch.full((len(features_SD),) * 2, torch.nan, device=features_SD.device)


def compare_with_chance(
    first: Sequence[Tensor], second: Sequence[Tensor], *, permutations: int, rows: int = 1, seed: int = 0
) -> AlignmentTest:
    """Compares every matrix of the first with every one of the second, and with those of exchanged samples.

    The second representation of a sample takes the place of another's (Legendre and Legendre, "Numerical Ecology",
    2012, section 10.5.1, on Mantel's test; for CKA this is the permutation test of the RV coefficient), in all
    matrices alike. What two unrelated representations of these widths share, and what the same places of all samples
    share, stays.

    Args:
        first: Matrices [S, S] of norm 1.
        second: The same between the same rows.
        permutations: Number of random permutations.
        rows: Consecutive rows that are of one sample, and stay together in their order.
        seed: Decides the permutations.
    """
    flat_PS = torch.stack([matrix.flatten() for matrix in first])
    values_PQ = _alignments(flat_PS, second)
    total, as_high = np.zeros((2, *values_PQ.shape))
    generator = np.random.default_rng(seed)
    samples = len(first[0]) // rows
    for _ in range(permutations):
        order = (generator.permutation(samples)[:, None] * rows + np.arange(rows)).ravel()
        index = torch.from_numpy(order).to(flat_PS.device)
        permuted_PQ = _alignments(flat_PS, [matrix[index][:, index] for matrix in second])
        total += permuted_PQ
        as_high += permuted_PQ >= values_PQ - ROUNDING
    undefined = np.isnan(values_PQ)
    p_values_PQ = np.where(undefined, np.nan, (1 + as_high) / (1 + permutations))
    return AlignmentTest(values_PQ, total / permutations, p_values_PQ)


def _alignments(flat_PS: Tensor, second: Sequence[Tensor]) -> np.ndarray:
    return np.stack([(flat_PS @ matrix.flatten()).double().cpu().numpy() for matrix in second], axis=1)
