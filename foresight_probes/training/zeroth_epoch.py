"""The zeroth epoch of every head: the best constant answer, which stands where validation finds nothing better.

A head on noise fits noise, and would end below the answer that needs no features at all.
"""

import math
from dataclasses import replace

from torch import Tensor, nn

from foresight_probes.batches import Features, Prediction
from foresight_probes.constant_answer import ConstantAnswer
from foresight_probes.controls.mean_predictor import ConstantScores
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.tasks import Task
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.run_spec import BestEpoch

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


def or_constant(fitted: Fitted, task: Task, constant: ConstantScores) -> Fitted:
    """Returns the run, or the constant answer in its place where that is as good on validation."""
    least = constant.value(task)
    if not math.isfinite(least) or fitted.best.value > least:
        return fitted
    head = ConstantHead(constant.answer)
    return replace(
        fitted,
        best=BestEpoch(least, 0, head.state_dict()),
        head=head,
        chosen={**fitted.chosen, "answer": MEAN_PREDICTOR},
        test_scores=constant.test,
    )
