"""The closed form that a trained head starts from, chosen so that the head finds in its training what it has to learn.

One that knows the training samples by heart leaves nothing to learn on them. Ranks, overlaps and matched sets do not
tell such a one, so validation chooses by the loss that is minimised in closed form.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foresight_probes.batches import Prediction
from foresight_probes.metrics import Scores
from foresight_probes.tasks import Task
from foresight_probes.training.linear_solution import LinearSolution
from foresight_probes.training.solution_scores import evaluate, losses
from foresight_probes.training.solver_data import SolverData

SURE = 2.0
"""Standard errors by which a closed form has to be better than a constant. What it tells is shown to heads as loudly as
if it were right, so that one that is better by luck would hide what there is to learn."""


def chosen_start(data: SolverData, solutions: Sequence[LinearSolution]) -> LinearSolution:
    """Returns the solution of the least loss on validation, or a constant one.

    It is constant, without a weight, where no solution is better by more than `SURE` standard errors of the difference.

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
    error = gains_S.std() / math.sqrt(max(1, gains_S.size - 1))
    return candidates[best] if gains_S.mean() > SURE * error else constant


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
