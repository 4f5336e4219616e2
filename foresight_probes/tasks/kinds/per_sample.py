"""Tasks whose samples are independent, so that the predictions of many heads are compared with the truth at once."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from foresight_probes.batches import Form, Prediction
from foresight_probes.metrics import Scores
from foresight_probes.tasks import Task


class PerSample(Task):
    """A task with a scalar target and a loss that is a mean over samples.

    Losses and scores of a sample depend on that sample alone, to the last bit, whatever stands beside it.
    """

    start_forms: tuple[Form, ...] = ("per_sample",)

    @abstractmethod
    def sample_losses(self, prediction: Prediction, truth_B: Tensor) -> Tensor:
        """Returns the loss of each sample, [B] float32."""

    @abstractmethod
    def sample_scores(self, prediction: Prediction, truth_B: Tensor) -> Scores:
        """Returns what `scores` returns, of stacked targets."""

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        return self.sample_losses(prediction, torch.stack(list(targets))).mean()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        return self.sample_scores(prediction, torch.stack(list(targets)))
