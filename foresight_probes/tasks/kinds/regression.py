"""Tasks that predict one number from the whole sample."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores, regression_metrics
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.per_sample import PerSample


class Regression(PerSample):
    """One value, squared error.

    A head predicts in units of the standard deviation of the training answers from their mean, so that whatever unit
    they have, learning is as easy. Scores are in the answers' own unit.
    """

    heads: tuple[str, ...] = ("pooled-linear",)
    primary = "r2"
    metric_names: tuple[str, ...] = ("r2", "mae", "relative_error")
    closed_form = "values"
    outputs = OutputSpec(num_predictions=1, channels=1, predicts=("per_sample",))

    def __init__(self, context: TaskContext) -> None:
        answers = [answer for sample in context.training if (answer := self.answer(sample)) is not None]
        self._mean = float(np.mean(answers)) if answers else 0.0
        spread = float(np.std(answers)) if answers else 0.0
        self._scale = spread if spread > 1e-6 * (1 + abs(self._mean)) else 1.0  # equal answers differ by rounding

    @abstractmethod
    def answer(self, sample: Mapping[str, Any]) -> float | None:
        """Returns the answer for one row of the sample table; None where there is none."""

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the answer, a float32 scalar."""
        answer = self.answer(sample)
        return None if answer is None else torch.tensor(answer, dtype=torch.float32)

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns the mean."""
        mean = torch.stack([target.cpu() for target, _ in targets]).double().mean()
        return ConstantAnswer(values=((mean - self._mean) / self._scale).float().view(1, 1))

    def sample_losses(self, prediction: Prediction, truth_B: Tensor) -> Tensor:
        """Returns squared errors in squared standard deviations, [B]."""
        return functional.mse_loss(prediction.values[:, 0, 0], (truth_B - self._mean) / self._scale, reduction="none")

    def sample_scores(self, prediction: Prediction, truth_B: Tensor) -> Scores:
        """Returns `regression.scalar_scores` in the answers' own unit."""
        values_B = prediction.values[:, 0, 0].cpu().double() * self._scale + self._mean
        return regression_metrics.scalar_scores(values_B, truth_B.cpu().double())

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return regression_metrics.scalar_summary(scores, counts_RS)

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002 - one value for all
        return ((target - self._mean) / self._scale).view(1, 1)
