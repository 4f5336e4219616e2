"""Similarity of representations of the same inputs: linear CKA, from sums over one pass."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

Pair = tuple[int, int]
"""Indices of two representations, or twice that of one."""


class CrossProducts:
    """Sums of products of centred features, from which linear CKA follows.

    They are kept in float64, whatever the number of rows: D1 · D2 numbers for each pair of representations. Features
    are counted from their first row on, so that those that do not vary are exactly 0 and a large mean costs no digits.

    >>> products = CrossProducts([2, 1], [(0, 0), (0, 1), (1, 1)])
    >>> products.add([torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0], [2.0]])])
    >>> products.add([torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[2.0], [2.0]])])
    >>> round(linear_cka(products.squares(), 0, 1), 4)
    0.7454
    """

    def __init__(self, widths: Sequence[int], pairs: Iterable[Pair]) -> None:
        """Takes the channels of each representation, and the pairs that are of interest."""
        self._count = 0
        self._origins: list[Tensor] = []
        self._totals = [torch.zeros(width, dtype=torch.float64) for width in widths]
        self._products = {
            (one, other): torch.zeros(widths[one], widths[other], dtype=torch.float64) for one, other in pairs
        }

    def add(self, features: Sequence[Tensor]) -> None:
        """Adds further rows, [n, D] of any number type for each representation, all on one device."""
        if not self._origins:
            self._origins = [each[:1].double() for each in features]
            self._totals = [total.to(each.device) for total, each in zip(self._totals, features, strict=True)]
            self._products = {pair: sums.to(features[0].device) for pair, sums in self._products.items()}
        rows = [each.double() - origin for each, origin in zip(features, self._origins, strict=True)]
        for total, own in zip(self._totals, rows, strict=True):
            total += own.sum(0)
        for (one, other), sums in self._products.items():
            sums.addmm_(rows[one].mT, rows[other])
        self._count += len(rows[0])

    def squares(self) -> dict[Pair, float]:
        """Returns ‖Xᵀ Y‖², the squared Frobenius norm for centred columns, of each pair."""
        means = [total / max(1, self._count) for total in self._totals]
        return {
            (one, other): float((sums - self._count * torch.outer(means[one], means[other])).square().sum())
            for (one, other), sums in self._products.items()
        }


def linear_cka(squares: Mapping[Pair, float], one: int, other: int) -> float:
    """Returns linear centred kernel alignment, from 0 to 1; NaN where a representation does not vary.

    CKA = ‖Xᵀ Y‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) with Frobenius norms for centred columns of X [n, D1] and Y [n, D2], whose rows
    belong to the same inputs (Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019,
    section 3): 1 for representations that differ by a rotation and a scale, 0 for uncorrelated ones.
    """
    scale = math.sqrt(squares[one, one] * squares[other, other])
    return min(1.0, squares[one, other] / scale) if scale > 0 else math.nan


def noise_cka(widths: Sequence[int], rows: Sequence[int]) -> float:
    """Returns what linear CKA shows at most, on average, between unrelated features of these widths.

    With few rows features are alike by chance: noise of D channels in n rows with noise of E channels in m rows has
    √(D / (n + D) · E / (m + E)), and noise whose channels are correlated has less.

    >>> noise_cka([100, 100, 10], [300, 300, 300])
    0.25
    """
    shares = sorted(width / (count + width) for width, count in zip(widths, rows, strict=True))
    return math.sqrt(shares[-1] * shares[-2])
