"""The closed form that a trained head starts from, chosen so that the head finds in its training what it has to learn.

One that knows the training samples by heart leaves nothing to learn on them. Ranks, overlaps and matched sets do not
tell such a one, so validation chooses by the loss that is minimised in closed form.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from foresight_probes.batches import Prediction
from foresight_probes.metrics import Scores
from foresight_probes.tasks import Task
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solution_scores import evaluate, losses
from foresight_probes.training.solver_data import SolverData


class Start(NamedTuple):
    """A closed form that is started from."""

    solution: LinearSolution
    unit: float
    """Deviation of its values if they told everything: the root of the loss of a constant."""


def chosen_start(data: SolverData, solutions: Sequence[LinearSolution]) -> Start:
    """Returns the solution of the least loss on validation, or a constant one.

    It is constant where the best is not better by more than a standard error of the difference: with many more channels
    than samples, solutions that know the training samples are about as good as a constant, and some better by luck.

    Args:
        data: That of a single run.
        solutions: Its solutions, of one penalty each.
    """
    strongest = max(solutions, key=lambda own: own.penalty or 0.0)
    constant = LinearSolution(None, torch.zeros_like(strongest.weight), strongest.bias)
    candidates = [constant, *solutions]
    gathered = evaluate(data, {0: candidates}, "validation", counted=False, score=_start_losses)[0]
    losses_KS = np.stack([np.asarray(own.scores, dtype=np.float64).reshape(-1) for own in gathered])
    best = int(np.argmin(np.nan_to_num(losses_KS.mean(1), nan=np.inf)))
    gains_S = losses_KS[0] - losses_KS[best]
    is_better = gains_S.mean() > gains_S.std() / math.sqrt(max(1, gains_S.size - 1))
    unit = math.sqrt(losses_KS[0].mean())
    return Start(candidates[best] if is_better else constant, unit if math.isfinite(unit) else 1.0)


def _start_losses(task: Task, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
    """The loss of classes, or the mean squared error of the values that heads start from, of each sample, [B, 1]."""
    if task.closed_form == "class":
        return losses(task, prediction, targets)
    return np.array([[_squared_error(task, prediction, own, target)] for own, target in enumerate(targets)])


def _squared_error(task: Task, prediction: Prediction, sample: int, target: Tensor) -> float:
    """Mean over the values that matter; 0 where none does."""
    cells = None if prediction.cells is None else prediction.cells[sample][prediction.mask[sample]]
    values = prediction.values[sample][prediction.mask[sample]]
    right = task.start_values(target, cells).to(values).expand_as(values)
    errors = (values - right).square()[~right.isnan()]
    return float(errors.mean()) if errors.numel() else 0.0
