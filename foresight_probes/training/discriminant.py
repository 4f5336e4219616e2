"""Logistic regression on the scores that ridge regression gives each class.

Newton's method in thousands of channels over all tokens takes minutes for each penalty. Ridge regression on the
classes, 1 against 0, spans the directions of Fisher's linear discriminant (Hastie, Tibshirani and Buja, "Flexible
Discriminant Analysis by Optimal Scoring", JASA 1994), and logistic regression on these few scores is quick. Both are
convex, and the whole is one linear map.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from foresight_probes.options import TrainingOptions
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.ridge_regression import RidgeRegression
from foresight_probes.training.solver_data import SolverData

_PENALTY = 1.0
"""Penalty on the weights of scores of deviation 1: nothing for thousands of rows, enough where classes separate."""
_GRADIENT = 1e-5
"""Largest element of the gradient of the mean cross-entropy at which the optimum is reached."""
_ROUNDING = 1e-12
"""Variance of a combination of scores, relative to the largest, below which it is due to rounding."""


class Discriminant:
    """Ridge regression for each penalty, then logistic regression on its scores; a `Solver`."""

    targets: tuple[str, ...] = ("class",)
    by_loss = False

    def solve(self, runs: Sequence[int], data: SolverData, options: TrainingOptions) -> dict[int, list[LinearSolution]]:
        ridge = RidgeRegression().solve(runs, data, options)
        scores: dict[int, list[Tensor]] = {run: [] for run in runs}
        classes: dict[int, list[Tensor]] = {run: [] for run in runs}
        for rows in data.training_rows(runs, counted=False) if runs else ():
            for run, answers in zip(rows.runs, rows.answers, strict=True):
                known = answers >= 0
                maps = torch.cat([solution.weight for solution in ridge[run]])
                scores[run].append((rows.inputs_RD[known] @ maps.T).float())
                classes[run].append(answers[known])
        return {
            run: self._solutions(ridge[run], torch.cat(scores[run]), torch.cat(classes[run]))
            if any(map(len, classes[run]))
            else ridge[run]
            for run in runs
        }

    def samples_seen(self, training: Sequence[frozenset[int]], penalties: int) -> int:
        """Returns the samples that ridge regression sees."""
        return RidgeRegression().samples_seen(training, penalties)

    def _solutions(self, ridge: Sequence[LinearSolution], scores_RM: Tensor, classes_R: Tensor) -> list[LinearSolution]:
        width = len(ridge[0].bias)
        return [
            _on_scores(solution, scores_RM[:, first : first + width].double(), classes_R)
            for solution, first in zip(ridge, range(0, scores_RM.shape[1], width), strict=True)
        ]


def _on_scores(solution: LinearSolution, scores_RK: Tensor, classes_R: Tensor) -> LinearSolution:
    """Logistic regression on scores that are turned and scaled to be uncorrelated, so that few steps solve it."""
    mean_K = scores_RK.mean(0)
    spread_K, turn_KK = torch.linalg.eigh(torch.cov(scores_RK.T, correction=0).view(len(mean_K), -1))
    kept = spread_K > _ROUNDING * spread_K[-1]
    whiten_KJ = turn_KK[:, kept] / spread_K[kept].sqrt()
    weight_KJ, bias_K = _logistic(((scores_RK - mean_K) @ whiten_KJ).float(), classes_R, len(mean_K))
    onto_KK = weight_KJ @ whiten_KJ.T
    return LinearSolution(solution.penalty, onto_KK @ solution.weight, bias_K - onto_KK @ mean_K, "discriminant")


def _logistic(inputs_RJ: Tensor, classes_R: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The weights [K, J] and biases [K] of the least mean cross-entropy, to a gradient of `_GRADIENT`."""
    design_RJ = torch.cat([inputs_RJ, torch.ones(len(inputs_RJ), 1, dtype=inputs_RJ.dtype)], dim=1)
    truth_RK = functional.one_hot(classes_R, classes).to(design_RJ.dtype)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights_KJ = torch.from_numpy(flat).float().view(classes, -1)
        likely_RK = (design_RJ @ weights_KJ.T).log_softmax(1)
        decay = weights_KJ * _PENALTY / len(design_RJ)
        decay[:, -1] = 0
        value = -(truth_RK * likely_RK).sum() / len(design_RJ) + (decay * weights_KJ).sum() / 2
        gradient = (likely_RK.exp() - truth_RK).T @ design_RJ / len(design_RJ) + decay
        return float(value), gradient.double().flatten().numpy()

    start = np.zeros(classes * design_RJ.shape[1])
    options = {"gtol": _GRADIENT, "ftol": 0.0, "maxiter": 1000}
    solved = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    weights_KJ = torch.from_numpy(solved.x).view(classes, -1)
    return weights_KJ[:, :-1], weights_KJ[:, -1]
