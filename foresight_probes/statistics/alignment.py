"""How alike two ways are in which the same samples resemble each other, and how alike they would be by chance.

A way is a matrix between all rows of a representation, of norm 1: its Gram matrix, or which rows are nearest
neighbours. The sum of the products of two such matrices is linear CKA, or the share of common neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ROUNDING = 1e-6
"""Difference up to which two alignments of float32 matrices count as equal."""
LEVEL = 0.05
"""Share of permutations that lie above the threshold."""


@dataclass(frozen=True, slots=True)
class AlignmentTest:
    """Alignments of P matrices with Q others, against those of samples that are exchanged; NaN where undefined."""

    values_PQ: np.ndarray
    chance_PQ: np.ndarray
    """Mean over permutations."""
    p_values_PQ: np.ndarray
    """(1 + permutations with as much) / (1 + permutations)."""
    threshold_PQ: np.ndarray
    """Order statistic ⌈0.95 (1 + permutations)⌉ of the permutations and the value itself."""
    corrected_PQ: np.ndarray
    """P-values corrected for the maximum over all pairs that are counted; NaN for others."""

    @property
    def calibrated_PQ(self) -> np.ndarray:
        """Alignments on the scale from the threshold, 0, to what equal matrices have, 1; 0 below the threshold."""
        room_PQ = 1 - self.threshold_PQ
        away_PQ = np.clip(self.values_PQ - self.threshold_PQ, 0, None)
        calibrated_PQ: np.ndarray = np.divide(away_PQ, room_PQ, out=away_PQ * 0, where=~(room_PQ <= ROUNDING))
        return calibrated_PQ


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


def debiased_gram(features_SD: Tensor) -> Tensor:
    """Returns the products of all pairs of rows, centred without those of rows with themselves, float32 of norm 1.

    Of two such matrices the sum of products is CKA with unbiased estimates of HSIC in it: 0 on average for unrelated
    features, however many channels they have, and slightly negative for half of them (Song et al., "Feature Selection
    via Dependence Maximization", JMLR 2012, equation 5; as a centring of matrices Székely and Rizzo, "Partial Distance
    Correlation", Annals of Statistics 2014, section 3). NaN where features do not vary, and for fewer than four rows.

    >>> debiased_gram(torch.tensor([[0.0], [0.0], [1.0], [1.0]])).mul(4).abs().round().diagonal()
    tensor([0., 0., 0., 0.])
    """
    count = len(features_SD)
    if count < 4 or not _varies(features_SD):
        return _undefined(features_SD)
    away = features_SD.double() - features_SD.double().mean(0)
    products: Tensor = (away @ away.mT).fill_diagonal_(0.0)
    sums = products.sum(1) / (count - 2)
    products = products - sums[:, None] - sums + sums.sum() / (count - 1)
    products.fill_diagonal_(0.0)
    return products.div(products.norm()).float()


def neighbours(features_SD: Tensor, count: int, *, rows: int = 1) -> Tensor:
    """Returns which rows are among the nearest ones of each, by cosine, [S, S] float32 of norm 1.

    NaN where features do not vary or are not finite. Of rows that are as near the first ones count. Where `rows`
    consecutive rows are of one sample, those of the same sample are no neighbours.

    >>> neighbours(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 1).mul(3**0.5).round()
    tensor([[0., 1., 0.],
            [1., 0., 0.],
            [0., 1., 0.]])
    """
    if not _varies(features_SD):
        return _undefined(features_SD)
    directions = functional.normalize(features_SD.double(), dim=1)
    sample_S = torch.arange(len(features_SD), device=features_SD.device) // rows
    near = (directions @ directions.mT).masked_fill_(sample_S[:, None] == sample_S, -torch.inf)
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
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    *,
    permutations: int,
    rows: int = 1,
    seed: int = 0,
    counted_PQ: np.ndarray | None = None,
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
        counted_PQ: Pairs over whose maximum p-values are corrected, bool; None for all.
    """
    flat_PS = torch.stack([matrix.flatten() for matrix in first])
    draws = [_alignments(flat_PS, second)]
    generator = np.random.default_rng(seed)
    samples = len(first[0]) // rows
    for _ in range(permutations):
        order = (generator.permutation(samples)[:, None] * rows + np.arange(rows)).ravel()
        index = torch.from_numpy(order).to(flat_PS.device)
        draws.append(_alignments(flat_PS, [matrix[index][:, index] for matrix in second]))
    return _against(np.stack(draws), counted_PQ)


def _against(draws_KPQ: np.ndarray, counted_PQ: np.ndarray | None) -> AlignmentTest:
    """Makes a test of draws, the first of which is what was found."""
    values_PQ, count = draws_KPQ[0], len(draws_KPQ)
    undefined = np.isnan(values_PQ)
    place = math.ceil((1 - LEVEL) * count - 1e-9) - 1
    as_high = (draws_KPQ >= values_PQ - ROUNDING).sum(0)
    return AlignmentTest(
        values_PQ=values_PQ,
        chance_PQ=draws_KPQ[1:].mean(0),
        p_values_PQ=np.where(undefined, np.nan, as_high / count),
        threshold_PQ=np.where(undefined, np.nan, np.partition(draws_KPQ, place, axis=0)[place]),
        corrected_PQ=_corrected(draws_KPQ, ~undefined if counted_PQ is None else counted_PQ & ~undefined),
    )


def _corrected(draws_KPQ: np.ndarray, counted_PQ: np.ndarray) -> np.ndarray:
    """Returns p-values by the maximum over pairs, each less its mean and over its deviation, [P, Q].

    Without that, the maximum would be that of the widest features, which are the most alike by chance. Means and
    deviations are those of all draws, what was found among them, so that under the null hypothesis all draws have the
    same chance to be the highest (Westfall and Young, "Resampling-Based Multiple Testing", 1993, section 2.5.1).
    """
    corrected_PQ = np.full(counted_PQ.shape, np.nan)
    draws_KM = draws_KPQ[:, counted_PQ]
    if draws_KM.shape[1]:
        deviations_M = np.maximum(draws_KM.std(0), ROUNDING)
        away_KM = (draws_KM - draws_KM.mean(0)) / deviations_M
        most_K = away_KM.max(1)
        corrected_PQ[counted_PQ] = (most_K[:, None] >= away_KM[0] - ROUNDING / deviations_M).mean(0)
    return corrected_PQ


def _alignments(flat_PS: Tensor, second: Sequence[Tensor]) -> np.ndarray:
    return np.stack([(flat_PS @ matrix.flatten()).double().cpu().numpy() for matrix in second], axis=1)
