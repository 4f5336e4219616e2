"""Ridge regression from sums over the samples: one pass for any number of targets, training sets and penalties."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.options import TrainingOptions
from foresight_probes.training.kept_rows import KeptRows
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solver_data import SolverData


@dataclass(slots=True)
class _Sums:
    count: int
    x: Tensor
    """Sum of the rows, [D]."""
    xx: Tensor
    """Gram matrix of the rows, [D, D]."""

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.count + other.count, self.x + other.x, self.xx + other.xx)


class NormalEquations:
    """Several problems over rows that stream by once; each has targets of its own and trains on some of the rows.

    Rows are summed by which problems train on them, so that a row is multiplied out once however many those are. All
    in float64.

    >>> equations = NormalEquations(1)
    >>> inputs_RD = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    >>> equations.add(inputs_RD, torch.ones(3, 1, dtype=torch.bool), [1 + 2 * inputs_RD])
    >>> (solution,) = equations.solve([1e-9])[0]
    >>> round(solution.weight.item(), 6), round(solution.bias.item(), 6)
    (2.0, 1.0)
    """

    def __init__(self, problems: int) -> None:
        self._parts: dict[tuple[bool, ...], _Sums] = {}
        self._xy: list[Tensor | float] = [0.0] * problems
        self._y: list[Tensor | float] = [0.0] * problems

    def add(self, inputs_RD: Tensor, known: Tensor, targets: Sequence[Tensor]) -> None:
        """Adds rows.

        Args:
            inputs_RD: float64.
            known: [R, problems] bool, which problems train on a row.
            targets: For each problem, [R, C] float64; those of rows that it does not train on may be anything.
        """
        kinds, kind = torch.unique(known, dim=0, return_inverse=True)
        for number, problems in enumerate(kinds.tolist()):
            if any(problems):
                rows = inputs_RD if len(kinds) == 1 else inputs_RD[kind == number]
                sums = _Sums(len(rows), rows.sum(0), rows.T @ rows)
                key = tuple(problems)
                self._parts[key] = self._parts[key] + sums if key in self._parts else sums
        for problem, y in enumerate(targets):
            own = known[:, problem]
            self._xy[problem] = self._xy[problem] + inputs_RD[own].T @ y[own]
            self._y[problem] = self._y[problem] + y[own].sum(0)

    def solve(self, penalties: Sequence[float]) -> list[list[LinearSolution]]:
        """Returns, for each problem and penalty s, the map with the least ‖Y − XWᵀ − b‖² + s ‖W‖².

        This is what scikit-learn's `Ridge(alpha=s)` minimises; the bias costs nothing. Problems that train on the
        same rows share a factorisation. The map is zero where no row is trained on.
        """
        solutions: list[list[LinearSolution]] = [[] for _ in self._xy]
        for sums, problems in self._alike():
            mean = sums.x / max(1, sums.count)
            centred = sums.xx - sums.count * torch.outer(mean, mean)
            for penalty in penalties:
                diagonal = torch.eye(len(mean), dtype=mean.dtype, device=mean.device) * penalty
                factor = torch.linalg.cholesky(centred + diagonal)
                for problem in problems:
                    y = torch.as_tensor(self._y[problem]) / max(1, sums.count)
                    right = self._xy[problem] - sums.count * torch.outer(mean, y)
                    weight = torch.cholesky_solve(right, factor).T
                    solutions[problem].append(LinearSolution(penalty, weight, y - weight @ mean))
        return solutions

    def _alike(self) -> Iterator[tuple[_Sums, list[int]]]:
        """Problems that train on the same rows, with the sums of these."""
        alike: dict[tuple[tuple[bool, ...], ...], list[int]] = {}
        for problem in range(len(self._xy)):
            alike.setdefault(tuple(kind for kind in self._parts if kind[problem]), []).append(problem)
        for kinds, problems in alike.items():
            parts = [self._parts[kind] for kind in kinds] or [self._nothing(problems[0])]
            yield reduce(add, parts), problems

    def _nothing(self, problem: int) -> _Sums:
        """The sums of no row."""
        xy = torch.as_tensor(self._xy[problem])
        return _Sums(0, xy.new_zeros(len(xy)), xy.new_zeros(len(xy), len(xy)))


class RidgeRegression:
    """Ridge regression of all runs in one pass; a `Solver`."""

    targets: tuple[str, ...] = ("values",)
    by_loss = False

    def solve(self, runs: Sequence[int], data: SolverData, options: TrainingOptions) -> dict[int, list[LinearSolution]]:
        equations: dict[tuple[int, ...], NormalEquations | KeptRows] = {}
        groups = {run: _groups(data, run) for run in runs}
        for rows in data.training_rows(runs):
            targets = [
                _values(answers, data.heads[run].out_features)[:, columns]
                for run, answers in zip(rows.runs, rows.answers, strict=True)
                for columns in groups[run]
            ]
            if rows.runs not in equations:
                few = max(map(data.most_rows, rows.runs)) <= rows.inputs_RD.shape[1]
                equations[rows.runs] = (KeptRows if few else NormalEquations)(len(targets))
            own = equations[rows.runs]
            known = torch.stack([~values.isnan().any(1) for values in targets], dim=1)
            own.add(rows.inputs_RD, known, targets)
        solutions: dict[int, list[LinearSolution]] = {}
        for alike, own in equations.items():
            solved = iter(own.solve(options.strengths))
            for run in alike:
                parts = [next(solved) for _ in groups[run]]
                solutions[run] = [_joined(groups[run], part) for part in zip(*parts, strict=True)]
        blank = [run for run in runs if run not in solutions]  # no batch holds a sample that they train on
        return solutions | {run: [_zero(data, run, penalty) for penalty in options.strengths] for run in blank}

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:  # noqa: ARG002 - one pass for all
        return len(frozenset().union(*training))


def _zero(data: SolverData, run: int, penalty: float) -> LinearSolution:
    classes, width = data.heads[run].out_features, data.heads[run].in_features
    zero_CD = torch.zeros(classes, width, dtype=torch.float64)
    return LinearSolution(penalty, zero_CD, zero_CD[:, 0].clone())


def _groups(data: SolverData, run: int) -> list[list[int]]:
    channels = data.heads[run].out_features
    return [list(range(channels))] if data.task(run).closed_form == "class" else data.task(run).start_groups(channels)


def _values(answers: Tensor, channels: int) -> Tensor:
    """[R, C] float64: values as they are, and classes as 1 against 0; NaN where a row does not matter."""
    if answers.ndim == 2:
        return answers.double()
    one_hot = functional.one_hot(answers.clamp(min=0), channels).double()
    return one_hot.masked_fill(answers[:, None] < 0, torch.nan)


def _joined(groups: Sequence[Sequence[int]], parts: Sequence[LinearSolution]) -> LinearSolution:
    """Puts the columns of groups together, which were solved with one penalty."""
    order = torch.tensor([column for columns in groups for column in columns]).argsort()
    weight = torch.cat([part.weight for part in parts])[order]
    return LinearSolution(parts[0].penalty, weight, torch.cat([part.bias for part in parts])[order])
