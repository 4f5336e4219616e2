"""Logistic regression on the scores that ridge regression gives each class.

Newton's method in thousands of channels over all tokens takes minutes for each penalty. Ridge regression on the
classes, 1 against 0, spans the directions of Fisher's linear discriminant (Hastie, Tibshirani and Buja, "Flexible
Discriminant Analysis by Optimal Scoring", JASA 1994), and logistic regression on these few scores is quick. Both are
convex, and the whole is one linear map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from foresight_probes.options import TrainingOptions
from foresight_probes.training import logistic_regression
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.ridge_regression import RidgeRegression
from foresight_probes.training.solver_data import SolverData

_PENALTY = 1.0
"""Penalty on the weights of scores of deviation 1: nothing for thousands of rows, enough where classes separate."""


class Discriminant:
    """Ridge regression for each penalty, then logistic regression on its scores; a `Solver`."""

    targets: tuple[str, ...] = ("class",)

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
        return {run: self._solutions(ridge[run], torch.cat(scores[run]), torch.cat(classes[run])) for run in runs}

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
    scale = scores_RK.std().clamp(min=1e-12)
    width = len(solution.bias)
    pair = [(scores_RK / scale, classes_R)]
    (fitted,) = logistic_regression.solve(lambda: pair, width=width, classes=width, penalties=(_PENALTY,))
    return LinearSolution(solution.penalty, fitted.weight @ solution.weight / scale, fitted.bias)
