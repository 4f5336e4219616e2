"""Tasks whose answer is one number, told from the whole sample."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.metrics import regression
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.per_sample import PerSample


class Regression(PerSample):
    """One value, squared error.

    A head predicts in units of the standard deviation of the training answers from their mean, so that whatever unit
    they have, learning is as easy. Scores are in the answers' own unit.
    """

    heads: tuple[str, ...] = ("pooled-linear",)
    primary = "r2"
    closed_form = "values"
    outputs = OutputSpec(slots=1, channels=1, predicts=("per_sample",))

    def __init__(self, setting: TaskContext) -> None:
        answers = [answer for sample in setting.training if (answer := self.answer(sample)) is not None]
        self._mean = float(np.mean(answers)) if answers else 0.0
        spread = float(np.std(answers)) if answers else 0.0
        self._scale = spread if spread > 1e-6 * (1 + abs(self._mean)) else 1.0  # equal answers differ by rounding

    @abstractmethod
    def answer(self, sample: Mapping[str, Any]) -> float | None:
        """The answer for one row of the sample table; None where there is none."""

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """The answer, a float32 scalar."""
        answer = self.answer(sample)
        return None if answer is None else torch.tensor(answer, dtype=torch.float32)

    def sample_losses(self, prediction: Prediction, truth: Tensor) -> Tensor:
        """In squared standard deviations."""
        return functional.mse_loss(prediction.values[:, 0, 0], (truth - self._mean) / self._scale, reduction="none")

    def sample_scores(self, prediction: Prediction, truth: Tensor) -> Scores:
        """See `regression.scalar_scores`."""
        found = prediction.values[:, 0, 0].cpu().double() * self._scale + self._mean
        return regression.scalar_scores(found, truth.cpu().double())

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        return regression.scalar_summary(scores, counts)

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002 - one value for all
        """[1, 1] float32: what a perfect head would predict."""
        return ((target - self._mean) / self._scale).view(1, 1)
