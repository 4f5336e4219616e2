"""A few numbers on a shard's features, kept with its commit: a strange layer shows at a glance."""

from collections import defaultdict
from typing import Any

import numpy as np

_TOKENS_PER_SAMPLE = 4
"""Tokens of each sample that enter the effective rank: 256 of a shard of 64."""
_QUANTILES = (0.05, 0.5, 0.95)


class FeatureStatistics:
    """Accumulates samples of one shard, point by point. The order of samples does not change the result."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(dict)

    def add(self, position: int, point: str, tokens_ND: np.ndarray) -> None:
        """Adds one sample's tokens [N, D], of any number type; one with sums that are not finite is left out."""
        values_ND = tokens_ND.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.sqrt(np.einsum("nd,nd->n", values_ND, values_ND))
            sums = np.array([values_ND.sum(dtype=np.float64), np.square(norms, dtype=np.float64).sum(), values_ND.size])
        if not np.isfinite(sums).all():
            return
        chosen = np.linspace(0, len(values_ND) - 1, min(_TOKENS_PER_SAMPLE, len(values_ND))).round().astype(int)
        self._parts[point][position] = (norms, sums, values_ND[chosen])

    def result(self, point: str) -> dict[str, Any]:
        """Returns `mean` and `std` of all numbers, `norm_quantiles` (5, 50, 95 %) and `effective_rank` of tokens.

        Without a sample it returns nothing.
        """
        parts = [self._parts[point][position] for position in sorted(self._parts[point])]
        if not parts:
            return {}
        total, squares, count = np.sum([sums for _, sums, _ in parts], axis=0)
        mean = total / count
        norms = np.concatenate([norms for norms, _, _ in parts])
        return {
            "mean": _rounded(mean),
            "std": _rounded(np.sqrt(max(squares / count - mean**2, 0.0))),
            "norm_quantiles": [_rounded(value) for value in np.quantile(norms, _QUANTILES)],
            "effective_rank": _rounded(effective_rank(np.concatenate([chosen for _, _, chosen in parts]))),
        }


def effective_rank(tokens_ND: np.ndarray) -> float:
    """Returns the exponential of the entropy of the normalised singular values of centred tokens [N, D].

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007. Centring leaves
    out the direction that all tokens share.

    >>> round(effective_rank(np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])), 6)
    2.0
    """
    centred_ND = tokens_ND.astype(np.float64) - tokens_ND.mean(axis=0, dtype=np.float64)
    gram = centred_ND @ centred_ND.T if len(centred_ND) < centred_ND.shape[1] else centred_ND.T @ centred_ND
    singular = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))
    if not singular.sum():
        return 0.0
    share = singular / singular.sum()
    share = share[share > 1e-12]
    return float(np.exp(-(share * np.log(share)).sum()))


def _rounded(value: Any) -> float:
    """Rounds to five digits: enough to look at, few enough to hide the last bits of a linear algebra library."""
    return float(f"{float(value):.5g}")
