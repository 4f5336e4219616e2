"""The zeroth epoch of every head: the best constant answer, which stands where validation finds nothing better.

A head on noise fits noise, and would end below the answer that needs no features at all. On the samples that choose it
the best of many such heads is a little above that answer, so a head has to be better by more than a standard error: the
rule of Breiman et al., "Classification and Regression Trees" (1984), section 3.4.3.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from foresight_probes.batches import Features, Prediction
from foresight_probes.constant_answer import ConstantAnswer
from foresight_probes.controls.mean_predictor import ConstantScores
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.statistics.bootstrap import bootstrap_difference
from foresight_probes.tasks import Task
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import BestEpoch

RESAMPLES = 100
STANDARD_ERROR = 0.6827
"""Confidence of an interval that is a standard error to both sides."""
MEAN_PREDICTOR = "mean-predictor"
"""Value of `answer`, among what was chosen for a run, where it is the best constant answer."""


class ConstantHead(ProbeHead):
    """A head that gives the best constant answer."""

    constant: Tensor

    def __init__(self, answer: ConstantAnswer) -> None:
        super().__init__()
        self.answer = answer
        self.constant = nn.Buffer(answer.values)

    def forward(self, features: Features) -> Prediction:
        return replace(self.answer, values=self.constant).predict(features)


def or_constant(fitted: Fitted, task: Task, constant: ConstantScores, groups: Callable[[int], str]) -> Fitted:
    """Returns the run, or the constant answer in its place where that is as good on validation.

    Args:
        fitted: A run with its validation scores.
        task: Its task.
        constant: The constant answer.
        groups: Gives the group of a sample by its row of the sample table.
    """
    least = constant.value(task)
    if not math.isfinite(least) or (fitted.best.value > least and _is_better(fitted, task, constant, groups)):
        return fitted
    head = ConstantHead(constant.answer)
    return replace(
        fitted,
        best=BestEpoch(least, 0, head.state_dict()),
        head=head,
        chosen={**fitted.chosen, "answer": MEAN_PREDICTOR},
        test_scores=constant.test,
    )


def _is_better(fitted: Fitted, task: Task, constant: ConstantScores, groups: Callable[[int], str]) -> bool:
    """Tells whether the run is better on the samples of validation by more than a standard error of the difference."""
    own, other = (
        dict(zip(scores.rows, scores.scores, strict=True)) for scores in (fitted.best.scores, constant.validation)
    )
    rows = [row for row in own if row in other]
    gain = bootstrap_difference(
        [own[row] for row in rows],
        [other[row] for row in rows],
        [groups(row) for row in rows],
        task.resampled_metrics,
        task.primary,
        resamples=RESAMPLES,
        confidence=STANDARD_ERROR,
    )
    return gain is None or gain.low > 0
