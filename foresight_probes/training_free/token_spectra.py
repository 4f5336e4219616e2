"""What tokens are like without any label: their norms, how many directions they use, and how sharply they turn."""

import numpy as np

OUTLIER = 3.0
"""Median norms of its point beyond which a token counts as an outlier."""


def norms(tokens_ND: np.ndarray) -> np.ndarray:
    """Returns the lengths of tokens, float64 [N]."""
    lengths: np.ndarray = np.linalg.norm(tokens_ND.astype(np.float64), axis=-1)
    return lengths


def outlier_share(norms_N: np.ndarray, median: float) -> float:
    """Returns the share of tokens that are longer than `OUTLIER` medians of their point.

    >>> outlier_share(np.array([1.0, 1.0, 2.0, 9.0]), 1.5)
    0.25
    """
    return float((norms_N > OUTLIER * median).mean())


def strongest_channel(tokens_ND: np.ndarray) -> float:
    """Returns the share of all squares that one channel has, the strongest; NaN of zeros.

    >>> strongest_channel(np.array([[3.0, 1.0], [0.0, 0.0]]))
    0.9
    """
    squares_D = (tokens_ND.astype(np.float64) ** 2).sum(0)
    return float(squares_D.max() / squares_D.sum()) if squares_D.sum() > 0 else float("nan")


def effective_rank(tokens_ND: np.ndarray) -> float:
    """Returns exp(-Σ p log p) of the shares p that the eigenvalues of the covariance of tokens have; NaN if all are 0.

    This is the exponential of the matrix-based entropy of order 1 (Skean et al., "Layer by Layer", ICML 2025, section
    3.3, there of tokens that are not centred), the number of directions that are used alike (Roy and Vetterli, "The
    Effective Rank", EUSIPCO 2007, there of singular values instead of their squares). It is at most N - 1.

    >>> round(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    away_ND = tokens_ND.astype(np.float64)
    away_ND = away_ND - away_ND.mean(0)
    is_wide = away_ND.shape[1] > len(away_ND)
    values = np.linalg.eigvalsh(away_ND @ away_ND.T if is_wide else away_ND.T @ away_ND).clip(0)
    if values.sum() <= 0:
        return float("nan")
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def curvature(tokens_ND: np.ndarray) -> float:
    """Returns the mean angle between the steps from token to token and those that follow, in degrees.

    Tokens are in their order in the sequence, from left to right and from above (Hosseini and Fedorenko, "Large
    Language Models Implicitly Learn to Straighten Neural Sentence Trajectories", NeurIPS 2023); NaN for fewer than
    three. Steps of length 0 have no direction and are left out.

    >>> curvature(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]))
    45.0
    """
    steps_ND = np.diff(tokens_ND.astype(np.float64), axis=0)
    return mean_angle(steps_ND[:-1], steps_ND[1:])


def mean_angle(first_ND: np.ndarray, second_ND: np.ndarray) -> float:
    """Returns the mean angle between vectors in degrees; NaN where no two have a direction."""
    lengths_N = np.linalg.norm(first_ND, axis=1) * np.linalg.norm(second_ND, axis=1)
    has = lengths_N > 0
    if not has.any():
        return float("nan")
    cosines = np.einsum("nd,nd->n", first_ND[has], second_ND[has]) / lengths_N[has]
    return float(np.degrees(np.arccos(cosines.clip(-1, 1))).mean())
