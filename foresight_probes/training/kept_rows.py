"""Ridge regression of fewer rows than channels: rows are kept, and one factorisation serves all penalties."""

from collections.abc import Sequence

import torch
from torch import Tensor

from foresight_probes.training.linear_solution import LinearSolution


class KeptRows:
    """Several problems over the same few rows, as `NormalEquations` takes them, solved in the space of the rows.

    With K = XXᵀ of centred rows, the weights are Xᵀ(K + sI)⁻¹Y (Saunders, Gammerman and Vovk, "Ridge Regression
    Learning Algorithm in Dual Variables", ICML 1998), and the eigenvectors of K give them for every s. In float64.

    >>> rows = KeptRows(1)
    >>> inputs_RD = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    >>> rows.add(inputs_RD, torch.ones(3, 1, dtype=torch.bool), [1 + 2 * inputs_RD[:, :1]])
    >>> (solution,) = rows.solve([1e-9])[0]
    >>> solution.weight.round(decimals=6).tolist(), round(solution.bias.item(), 6)
    ([[2.0, 0.0]], 1.0)
    """

    def __init__(self, problems: int) -> None:
        self._inputs: list[Tensor] = []
        self._known: list[Tensor] = []
        self._targets: list[list[Tensor]] = [[] for _ in range(problems)]

    def add(self, inputs_RD: Tensor, known: Tensor, targets: Sequence[Tensor]) -> None:
        """Adds rows; see `NormalEquations.add`."""
        used = known.any(1)
        self._inputs.append(inputs_RD[used])
        self._known.append(known[used])
        for own, values in zip(self._targets, targets, strict=True):
            own.append(values[used])

    def solve(self, penalties: Sequence[float]) -> list[list[LinearSolution]]:
        """Returns, for each problem and penalty, what `NormalEquations.solve` returns, up to rounding."""
        inputs_RD, known_RP = torch.cat(self._inputs), torch.cat(self._known)
        kinds, kind_of = torch.unique(known_RP, dim=1, return_inverse=True)
        factored = [_Factored(inputs_RD[kinds[:, number]]) for number in range(kinds.shape[1])]
        return [
            factored[kind].solve(torch.cat(values)[known_RP[:, problem]], penalties)
            for problem, (values, kind) in enumerate(zip(self._targets, kind_of.tolist(), strict=True))
        ]


class _Factored:
    def __init__(self, inputs_RD: Tensor) -> None:
        self._mean = inputs_RD.mean(0)
        self._centred = inputs_RD - self._mean
        self._values, self._vectors = torch.linalg.eigh(self._centred @ self._centred.T)

    def solve(self, targets_RC: Tensor, penalties: Sequence[float]) -> list[LinearSolution]:
        mean = targets_RC.mean(0)
        turned = self._vectors.T @ (targets_RC - mean)
        shrunk = [turned / (self._values.clamp(min=0) + penalty)[:, None] for penalty in penalties]
        weights = (self._vectors @ torch.cat(shrunk, dim=1)).T @ self._centred
        return [
            LinearSolution(penalty, weight, mean - weight @ self._mean)
            for penalty, weight in zip(penalties, weights.split(len(mean)), strict=True)
        ]
