"""What a path of logistic regressions costs, beside scikit-learn's quickest solver to the same optimum."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from foresight_probes.options import TrainingOptions
from foresight_probes.training.logistic_regression import solve_kept
from pipelines.bench.measuring.ratios import Figure

SIZES = ((150, 3584, 1000), (400, 768, 2000), (1000, 64, 4000))
"""Classes, channels and rows; the first of the quick sizes and of these is ADE20K's number of classes."""
QUICK_SIZES = ((150, 64, 1000),)
SOLVERS = ("newton-cg", "lbfgs")
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Tolerances of scikit-learn, from which the first is taken that leads to the optimum."""
EXCESS = 1e-5
"""How far above the least mean of the objective over rows counts as the optimum."""


@dataclass(frozen=True, slots=True)
class _Data:
    """Standardised rows of overlapping classes, in channels that tell very different amounts."""

    inputs_RD: np.ndarray
    classes_R: np.ndarray
    classes: int

    def objective(self, weights_KD: np.ndarray, biases_K: np.ndarray, penalty: float) -> float:
        """Returns the mean over rows of what is minimised."""
        weights, inputs = torch.from_numpy(weights_KD), torch.from_numpy(self.inputs_RD)
        logits_RK = inputs @ weights.T + torch.from_numpy(biases_K)
        loss = functional.cross_entropy(logits_RK, torch.from_numpy(self.classes_R), reduction="sum")
        return (float(loss) + penalty / 2 * float(weights.square().sum())) / len(self.inputs_RD)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Yields a figure for each size: seconds of all penalties of the defaults to those of scikit-learn.

    There is none without scikit-learn, which is no part of the installation.
    """
    if find_spec("sklearn") is None:
        return
    penalties = TrainingOptions().strengths
    for classes, width, rows in QUICK_SIZES if quick else SIZES:
        data = _draw(classes, width, rows)
        ours, values = _solved(data, penalties)
        theirs, solver, tolerance = _fastest(data, penalties, values)
        yield Figure(
            name=f"logistic regression, {classes} classes, {width} channels, {rows} rows, {len(penalties)} penalties, "
            "to scikit-learn's",
            value=ours / theirs,
            target="<= 1",
            detail=f"{ours:.2f} s to {theirs:.2f} s of {solver}, tol {tolerance:g}; both within {EXCESS:g} of the loss",
        )


def _draw(classes: int, width: int, rows: int) -> _Data:
    generator = np.random.default_rng(0)
    centres = 3 / np.sqrt(width) * generator.normal(size=(classes, width))
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)])
    inputs = centres[labels] + generator.normal(size=(rows, width)) * generator.uniform(0.3, 3, width)
    return _Data((inputs - inputs.mean(0)) / inputs.std(0), labels, classes)


def _solved(data: _Data, penalties: Sequence[float]) -> tuple[float, list[float]]:
    settings = {"classes": data.classes, "penalties": penalties}
    inputs, classes = torch.from_numpy(data.inputs_RD), torch.from_numpy(data.classes_R)
    seconds, solutions = _timed(lambda: solve_kept(inputs, classes, settings))
    return seconds, [data.objective(own.weight.numpy(), own.bias.numpy(), own.penalty) for own in solutions]


def _fastest(data: _Data, penalties: Sequence[float], values: Sequence[float]) -> tuple[float, str, float]:
    """Returns seconds, solver and tolerance of the quickest way of scikit-learn to objectives that are as low."""
    best = (float("inf"), "none", 0.0)
    for solver in SOLVERS:
        for tolerance in TOLERANCES:
            seconds, found = _timed(partial(_theirs, data, penalties, solver, tolerance))
            if all(one <= other + EXCESS for one, other in zip(found, values, strict=True)):
                best = min(best, (seconds, solver, tolerance))
                break
            if seconds > best[0]:
                break
    return best


def _theirs(data: _Data, penalties: Sequence[float], solver: str, tolerance: float) -> list[float]:
    """Solves from the largest penalty to the least, each from the one before, as here."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver=solver, warm_start=True, tol=tolerance, max_iter=100_000)
    found = {}
    for penalty in sorted(penalties, reverse=True):
        model.set_params(C=1 / penalty).fit(data.inputs_RD, data.classes_R)
        found[penalty] = data.objective(model.coef_, model.intercept_, penalty)
    return [found[penalty] for penalty in penalties]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
