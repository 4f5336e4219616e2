"""How many nearest neighbours two points have in common, row by row: the k-NN overlap ratio of a connector."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from foresight_probes.statistics.alignment import compare_with_chance, neighbours

PERMUTATIONS = 199


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Shares of common neighbours against those of samples that are exchanged."""

    shares_S: np.ndarray
    """Mean over the rows of each sample, float64 from 0 to 1."""
    chance: float
    """Mean share where the samples of the second point are exchanged."""
    threshold: float
    """Mean share that one exchange in twenty exceeds."""
    p_value: float


def overlap(first_ND: Tensor, second_ND: Tensor, count: int, *, rows: int = 1, seed: int = 0) -> Overlap:
    """Compares the nearest neighbours of each row at two points, by cosine.

    The mean over samples is the k-NN overlap ratio of Li et al., "Lost in Embeddings" (Findings of EMNLP 2025), there
    of means of images before and after the connector, and the mutual nearest neighbours of Huh et al. (ICML 2024).

    Args:
        first_ND: Features of N rows, of which those of a sample follow each other.
        second_ND: Features of the same rows at another point.
        count: Neighbours of each row, k.
        rows: Rows of a sample; rows of one sample are no neighbours of each other.
        seed: Decides the exchanges.
    """
    matrices = [neighbours(features, count, rows=rows) for features in (first_ND, second_ND)]
    test = compare_with_chance(matrices[:1], matrices[1:], permutations=PERMUTATIONS, rows=rows, seed=seed)
    common_N = ((matrices[0] > 0) & (matrices[1] > 0)).sum(1).double() / count
    return Overlap(
        shares_S=common_N.reshape(-1, rows).mean(1).cpu().numpy(),
        chance=float(test.chance_PQ[0, 0]),
        threshold=float(test.threshold_PQ[0, 0]),
        p_value=float(test.p_values_PQ[0, 0]),
    )
