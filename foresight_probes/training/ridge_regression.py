"""Ridge regression from sums over the samples: one pass for any number of targets, training sets and penalties."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear map with what it was regularised by."""

    strength: float
    weight: Tensor
    """[C, D] float64."""
    bias: Tensor
    """[C] float64."""


@dataclass(slots=True)
class _Sums:
    count: int
    x: Tensor
    """[D]: the sum of the rows."""
    xx: Tensor
    """[D, D]: their Gram matrix."""

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.count + other.count, self.x + other.x, self.xx + other.xx)


class NormalEquations:
    """Several problems over rows that stream by once; each has targets of its own and takes some of the rows.

    Rows are summed by which problems take them, so that a row is multiplied out once however many those are. All in
    float64.

    >>> equations = NormalEquations(1)
    >>> x = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    >>> equations.add(x, torch.ones(3, 1, dtype=torch.bool), [1 + 2 * x])
    >>> (found,) = equations.solve([1e-9])[0]
    >>> round(found.weight.item(), 6), round(found.bias.item(), 6)
    (2.0, 1.0)
    """

    def __init__(self, problems: int) -> None:
        self._parts: dict[tuple[bool, ...], _Sums] = {}
        self._xy: list[Tensor | float] = [0.0] * problems
        self._y: list[Tensor | float] = [0.0] * problems

    def add(self, x: Tensor, taken: Tensor, targets: Sequence[Tensor]) -> None:
        """
        Args:
            x: [R, D] float64.
            taken: [R, problems] bool, which problems take a row.
            targets: Of each problem, [R, C] float64; those of rows that are not taken may be anything.
        """
        kinds, kind = torch.unique(taken, dim=0, return_inverse=True)
        for number, problems in enumerate(kinds.tolist()):
            if any(problems):
                rows = x if len(kinds) == 1 else x[kind == number]
                sums = _Sums(len(rows), rows.sum(0), rows.T @ rows)
                key = tuple(problems)
                self._parts[key] = self._parts[key] + sums if key in self._parts else sums
        for problem, y in enumerate(targets):
            rows = taken[:, problem]
            self._xy[problem] = self._xy[problem] + x[rows].T @ y[rows]
            self._y[problem] = self._y[problem] + y[rows].sum(0)

    def solve(self, strengths: Sequence[float]) -> list[list[Linear]]:
        """Per problem and strength s the map with the least ‖Y − XWᵀ − b‖² + s ‖W‖²; the bias costs nothing.

        This is what scikit-learn's `Ridge(alpha=s)` minimises. Problems that took the same rows share a factorisation.
        """
        found: list[list[Linear]] = [[] for _ in self._xy]
        alike: dict[tuple[tuple[bool, ...], ...], list[int]] = {}
        for problem in range(len(self._xy)):
            alike.setdefault(tuple(kind for kind in self._parts if kind[problem]), []).append(problem)
        for kinds, problems in alike.items():
            sums = self._parts[kinds[0]]
            for kind in kinds[1:]:
                sums = sums + self._parts[kind]
            mean = sums.x / sums.count
            centred = sums.xx - sums.count * torch.outer(mean, mean)
            for strength in strengths:
                penalty = torch.eye(len(mean), dtype=mean.dtype, device=mean.device) * strength
                factor = torch.linalg.cholesky(centred + penalty)
                for problem in problems:
                    y = torch.as_tensor(self._y[problem]) / sums.count
                    right = self._xy[problem] - sums.count * torch.outer(mean, y)
                    weight = torch.cholesky_solve(right, factor).T
                    found[problem].append(Linear(strength, weight, y - weight @ mean))
        return found
