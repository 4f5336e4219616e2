"""Multinomial logistic regression to its optimum, by Newton's method with conjugate gradients, in float64."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.options import TrainingOptions
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solver_data import SolverData

Chunks = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Starts a pass over the data: pieces inputs_RD float64 with classes_R int64, of R rows each."""

TOLERANCE = 1e-8
"""How far from the optimum the weights may be, relative to their norm: they are no farther than the norm of the
gradient divided by the penalty, because the objective curves at least that much."""
ROUNDING = 1e-9
"""Norm of the gradient, relative to that of zero weights, below which one that no longer falls is due to rounding."""
GRADIENT = 1e-6
"""Largest element of the gradient of the mean of the objective over rows at which the optimum is reached.

Probabilities are within some 1e-5 of it. Where directions vary little and penalties are small, more digits take several
times as many steps.
"""
MOST_STEPS = 100
SMALLEST = 1e-12
"""Least element of the diagonal of the Hessian, where a class is certain not to be."""
SHORTEST = 1e-12
"""Part of a Newton step below which no part of it is tried."""


class LogisticRegression:
    """Logistic regression of one run after the other; a `Solver`. Rows are kept where they fit `resident_bytes`."""

    targets: tuple[str, ...] = ("class",)
    by_loss = True

    def solve(self, runs: Sequence[int], data: SolverData, options: TrainingOptions) -> dict[int, list[LinearSolution]]:
        return {run: self._solve(run, data, options) for run in runs}

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:
        """Returns the samples of each run once for each penalty, however many passes these take."""
        return sum(map(len, training)) * penalties

    def _solve(self, run: int, data: SolverData, options: TrainingOptions) -> list[LinearSolution]:
        def chunks() -> Iterator[tuple[Tensor, Tensor]]:
            for rows in data.training_rows([run], counted=False):
                (classes,) = rows.answers
                yield rows.inputs_RD[classes >= 0], classes[classes >= 0]

        classes, width = data.heads[run].out_features, data.heads[run].in_features
        settings: dict[str, Any] = {
            "classes": classes,
            "penalties": options.strengths,
            "advance": lambda: data.advance(len(data.splits[run].train), 0),
        }
        if data.most_rows(run) * width * 8 > options.resident_bytes:
            return solve(chunks, width=width, **settings)
        nothing = torch.zeros(0, width, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
        inputs, answers = zip(nothing, *chunks(), strict=True)
        return solve_kept(torch.cat(inputs), torch.cat(answers), settings)


def solve_kept(inputs_RD: Tensor, classes_R: Tensor, settings: Mapping[str, Any]) -> list[LinearSolution]:
    """Solves along the principal axes of the inputs, where the Hessian is nearly diagonal: weights are turned only."""
    axes_DM, turned_RM = _principal_axes(inputs_RD)
    single_RM = turned_RM.float()
    solutions = solve(lambda: [(turned_RM, classes_R)], lambda: [single_RM], width=turned_RM.shape[1], **settings)
    return [LinearSolution(own.penalty, own.weight @ axes_DM.T, own.bias) for own in solutions]


def _principal_axes(inputs_RD: Tensor) -> tuple[Tensor, Tensor]:
    """Returns axes of length 1 at right angles, [D, M], in whose span the inputs lie, and the inputs along them.

    M is the lesser of R and D; the inputs are [R, M].
    """
    rows, width = inputs_RD.shape
    if rows >= width:
        axes_DD = torch.linalg.eigh(inputs_RD.T @ inputs_RD)[1]
        return axes_DD, inputs_RD @ axes_DD
    span_DR, turned_RR = torch.linalg.qr(inputs_RD.T)
    axes_RR = torch.linalg.eigh(turned_RR @ turned_RR.T)[1]
    return span_DR @ axes_RR, turned_RR.T @ axes_RR


def solve(
    chunks: Chunks,
    single: Callable[[], Iterable[Tensor]] | None = None,
    *,
    width: int,
    classes: int,
    penalties: Sequence[float],
    gradient: float = GRADIENT,
    advance: Callable[[], object] = lambda: None,
) -> list[LinearSolution]:
    """Returns, for each penalty s, the map with the least sum of cross-entropies + s/2 ‖W‖²; the bias costs nothing.

    With three classes or more this is what scikit-learn's `LogisticRegression(C=1/s)` minimises; with two, where
    that keeps the difference of the two rows alone, it is that with `C=2/s`. Each penalty starts from the solution
    of the next larger one. A step reads the data a few times. `advance` is called after each penalty. `gradient` is the
    largest element of the gradient of the mean of the objective at which the optimum is reached. `single` yields the
    inputs of the pieces as float32, for the Hessian, which only says in which direction to go.
    """
    if single is None:

        def single() -> Iterator[Tensor]:
            return (inputs_RD.float() for inputs_RD, _ in chunks())

    solutions: dict[float, LinearSolution] = {}
    weights = torch.zeros(classes, width + 1, dtype=torch.float64)
    for penalty in sorted(penalties, reverse=True):
        weights = _Objective(chunks, single, penalty, gradient).minimise(weights)
        weight, bias = weights[:, :-1], weights[:, -1]
        solutions[penalty] = LinearSolution(penalty, weight.clone(), bias - bias.mean())
        advance()
    return [solutions[penalty] for penalty in penalties]


class _Objective:
    """The objective at one penalty; weights are [classes, D + 1] with the bias last."""

    def __init__(self, chunks: Chunks, single: Callable[[], Iterable[Tensor]], penalty: float, gradient: float) -> None:
        self._chunks, self._single, self._penalty, self._gradient = chunks, single, penalty, gradient
        self._rows = 0
        """Rows that there are, once they were seen."""

    def minimise(self, weights: Tensor) -> Tensor:
        value, gradient = self._evaluate(weights)
        first, before = float(self._evaluate(torch.zeros_like(weights))[1].norm()), math.inf
        for _ in range(MOST_STEPS):
            size = float(gradient.norm())
            exact = size <= TOLERANCE * self._penalty * float(weights[:, :-1].norm())
            done = exact or float(gradient.abs().max()) <= self._gradient * self._rows
            if done or (size <= ROUNDING * first and size > before / 2):
                break
            before = size
            step = self._newton_step(weights, gradient, accuracy=min(0.1, math.sqrt(size / first)))
            before_step, (weights, value, gradient) = weights, self._search(weights, value, gradient, step)
            if weights is before_step:
                break
        return weights

    def _search(self, weights: Tensor, value: float, gradient: Tensor, step: Tensor) -> tuple[Tensor, float, Tensor]:
        """Halves the step until the value falls by enough; returns weights with their value and gradient.

        They are the same where no step does, as where all classes are one and its bias would grow for ever.
        """
        slope, length = float((gradient * step).sum()), 1.0
        while length > SHORTEST:
            moved = weights + length * step
            lower, downhill = self._evaluate(moved)
            # near the optimum the decrease is below the rounding of the value; the full step is right there
            if lower <= value + 1e-4 * length * slope or abs(slope) < 1e-9 * abs(value):
                return moved, lower, downhill
            length /= 2
        return weights, value, gradient

    def _evaluate(self, weights: Tensor) -> tuple[float, Tensor]:
        """The objective and its gradient."""
        penalised = weights.clone()
        penalised[:, -1] = 0
        value, gradient = self._penalty / 2 * float(penalised.square().sum()), self._penalty * penalised
        self._rows = 0
        for inputs_RD, classes_R in self._chunks():
            self._rows += len(inputs_RD)
            logits_RK = inputs_RD @ weights[:, :-1].T + weights[:, -1]
            value += float(functional.cross_entropy(logits_RK, classes_R, reduction="sum"))
            residual_RK = logits_RK.softmax(1)
            residual_RK[torch.arange(len(inputs_RD)), classes_R] -= 1
            gradient = gradient + _product(residual_RK, inputs_RD)
        return value, gradient

    def _newton_step(self, weights: Tensor, gradient: Tensor, *, accuracy: float) -> Tensor:
        """Solves Hessian · step = −gradient to a relative accuracy, by conjugate gradients that the diagonal guides."""
        likely = [self._likely(inputs_RD, weights) for inputs_RD in self._single()]
        diagonal = self._hessian_diagonal(likely, torch.zeros_like(gradient))
        step = torch.zeros_like(gradient)
        residual = -gradient
        guided = residual / diagonal
        direction, size = guided, float((residual * guided).sum())
        aim = accuracy * float(gradient.norm())
        for _ in range(10 * gradient.numel()):  # rounding makes it more than one per dimension
            curved = self._hessian_product(likely, direction)
            curvature = float((direction * curved).sum())
            if curvature <= 0:  # along a shift of all biases alone, which changes nothing
                break
            length = size / curvature
            step = step + length * direction
            residual = residual - length * curved
            if float(residual.norm()) <= aim:
                break
            guided = residual / diagonal
            before, size = size, float((residual * guided).sum())
            direction = guided + size / before * direction
        return step

    @staticmethod
    def _likely(inputs_RD: Tensor, weights: Tensor) -> Tensor:
        """The probabilities of the classes, [R, K]."""
        single = weights.to(inputs_RD.dtype)
        return (inputs_RD @ single[:, :-1].T + single[:, -1]).softmax(1)

    def _hessian_diagonal(self, likely: Sequence[Tensor], diagonal: Tensor) -> Tensor:
        """Adds the diagonal of the Hessian to zeros [classes, D + 1], whose inverse preconditions the gradients."""
        for inputs_RD, likely_RK in zip(self._single(), likely, strict=True):
            diagonal += _product(likely_RK * (1 - likely_RK), inputs_RD.square())
        diagonal[:, :-1] += self._penalty
        return diagonal.clamp_min(SMALLEST)

    def _hessian_product(self, likely: Sequence[Tensor], direction: Tensor) -> Tensor:
        """Takes the probabilities of each piece of the data: they are few numbers beside it."""
        product = self._penalty * direction
        product[:, -1] = 0
        single = direction.float()
        for inputs_RD, likely_RK in zip(self._single(), likely, strict=True):
            changed_RK = (inputs_RD @ single[:, :-1].T).add_(single[:, -1]).mul_(likely_RK)
            changed_RK.addcmul_(likely_RK, changed_RK.sum(1, keepdim=True), value=-1)
            product = product + _product(changed_RK, inputs_RD)
        return product


def _product(rows_RK: Tensor, inputs_RD: Tensor) -> Tensor:
    """[classes, D + 1]: the rows against inputs with a one behind them."""
    return torch.cat([rows_RK.T @ inputs_RD, rows_RK.sum(0)[:, None]], dim=1)
