"""Similarity of two representations of the same inputs: linear CKA, from one pass over both."""

import torch
from torch import Tensor


class LinearCKA:
    """Linear centred kernel alignment of X [n, D1] and Y [n, D2] whose rows belong to the same inputs.

    CKA = ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) with Frobenius norms of centred columns (Kornblith et al., "Similarity of Neural
    Network Representations Revisited", ICML 2019, section 3): 1 for representations that differ by a rotation and a
    scale, 0 for uncorrelated ones. Sums are kept in float64; memory is (D1 + D2)² numbers, whatever n is.

    >>> cka = LinearCKA(2, 1)
    >>> cka.add(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0], [2.0]]))
    >>> cka.add(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[2.0], [2.0]]))
    >>> round(cka.value(), 4)
    0.7454
    """

    def __init__(self, first: int, second: int) -> None:
        self._first = first
        self._count = 0
        self._total = torch.zeros(first + second, dtype=torch.float64)
        self._products = torch.zeros(first + second, first + second, dtype=torch.float64)

    def add(self, first: Tensor, second: Tensor) -> None:
        """Adds further rows, [n, D1] and [n, D2] float."""
        rows = torch.cat([first, second], dim=1).double()
        self._total = self._total.to(rows.device) + rows.sum(0)
        self._products = self._products.to(rows.device).addmm_(rows.mT, rows)
        self._count += len(rows)

    def value(self) -> float:
        """Returns CKA of all rows so far, from 0 to 1; NaN where a representation does not vary."""
        mean = self._total / max(1, self._count)
        centred = self._products - self._count * torch.outer(mean, mean)
        one, other = centred[: self._first, : self._first], centred[self._first :, self._first :]
        across = centred[: self._first, self._first :]
        return float(across.square().sum() / (one.norm() * other.norm()))
