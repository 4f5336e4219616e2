"""Multinomial logistic regression to its optimum, by Newton's method with conjugate gradients, in float64."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.training.ridge_regression import Linear

Chunks = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Starts a pass over the data: pieces x [R, D] float64 with classes [R] int64."""

TOLERANCE = 1e-8
"""How far from the optimum the weights may be, relative to their norm: they are no farther than the norm of the
gradient divided by the strength, because the objective curves at least that much."""
ROUNDING = 1e-9
"""Norm of the gradient, relative to that of zero weights, below which one that no longer falls is due to rounding."""
MOST_STEPS = 100


def solve(chunks: Chunks, *, width: int, classes: int, strengths: Sequence[float]) -> list[Linear]:
    """Per strength s the map with the least sum of cross-entropies + s/2 ‖W‖²; the bias costs nothing.

    With three classes or more this is what scikit-learn's `LogisticRegression(C=1/s)` minimises; with two, where
    that keeps the difference of the two rows alone, it is that with `C=2/s`. Each strength starts from the solution
    of the next larger one. A step reads the data a few times.
    """
    found: dict[float, Linear] = {}
    point = None
    for strength in sorted(strengths, reverse=True):
        problem = _Problem(chunks, width, classes, strength)
        point = problem.minimise(point)
        weight, bias = point[:, :-1], point[:, -1]
        found[strength] = Linear(strength, weight.clone(), bias - bias.mean())
    return [found[strength] for strength in strengths]


class _Problem:
    """The objective at one strength; a point is [classes, D + 1] with the bias last."""

    def __init__(self, chunks: Chunks, width: int, classes: int, strength: float) -> None:
        self._chunks, self._strength = chunks, strength
        self._shape = (classes, width + 1)

    def minimise(self, start: Tensor | None) -> Tensor:
        point = torch.zeros(self._shape, dtype=torch.float64) if start is None else start
        value, gradient = self._evaluate(point)
        first, before = float(self._evaluate(torch.zeros_like(point))[1].norm()), math.inf
        for _ in range(MOST_STEPS):
            size = float(gradient.norm())
            done = size <= TOLERANCE * self._strength * float(point[:, :-1].norm())
            if done or (size <= ROUNDING * first and size > before / 2):
                break
            before = size
            step = self._newton_step(point, gradient, accuracy=min(0.1, math.sqrt(size / first)))
            slope = float((gradient * step).sum())
            length = 1.0
            while True:
                moved, downhill = self._evaluate(point + length * step)
                # Near the optimum the decrease is below the rounding of the value; the full step is right there.
                if moved <= value + 1e-4 * length * slope or abs(slope) < 1e-9 * abs(value):
                    break
                length /= 2
            point, value, gradient = point + length * step, moved, downhill
        return point

    def _evaluate(self, point: Tensor) -> tuple[float, Tensor]:
        """The objective and its gradient."""
        penalised = point.clone()
        penalised[:, -1] = 0
        value, gradient = self._strength / 2 * float(penalised.square().sum()), self._strength * penalised
        for x, classes in self._chunks():
            logits = x @ point[:, :-1].T + point[:, -1]
            value += float(functional.cross_entropy(logits, classes, reduction="sum"))
            residual = logits.softmax(1)
            residual[torch.arange(len(x)), classes] -= 1
            gradient = gradient + _product(residual, x)
        return value, gradient

    def _newton_step(self, point: Tensor, gradient: Tensor, *, accuracy: float) -> Tensor:
        """Solves Hessian · step = −gradient by conjugate gradients to a relative accuracy."""
        step = torch.zeros_like(gradient)
        residual = -gradient
        direction, size = residual, float(residual.square().sum())
        aim = size * accuracy**2
        for _ in range(10 * gradient.numel()):  # rounding makes it more than one per dimension
            curved = self._hessian(point, direction)
            curvature = float((direction * curved).sum())
            if curvature <= 0:  # along a shift of all biases alone, which changes nothing
                break
            length = size / curvature
            step = step + length * direction
            residual = residual - length * curved
            smaller = float(residual.square().sum())
            if smaller <= aim:
                break
            direction, size = residual + smaller / size * direction, smaller
        return step

    def _hessian(self, point: Tensor, direction: Tensor) -> Tensor:
        found = self._strength * direction
        found[:, -1] = 0
        for x, _ in self._chunks():
            likely = (x @ point[:, :-1].T + point[:, -1]).softmax(1)
            change = x @ direction[:, :-1].T + direction[:, -1]
            found = found + _product(likely * (change - (likely * change).sum(1, keepdim=True)), x)
        return found


def _product(rows: Tensor, x: Tensor) -> Tensor:
    """[classes, D + 1]: rows [R, classes] against x with a one behind it."""
    return torch.cat([rows.T @ x, rows.sum(0)[:, None]], dim=1)
