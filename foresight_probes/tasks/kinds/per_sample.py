"""Tasks whose samples do not see each other, so that many heads' answers are compared with the truth at once."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from foresight_probes.batches import Prediction
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import Task


class PerSample(Task):
    """Its target is a scalar and its loss a mean over samples.

    What it says of a sample depends on that sample alone, to the last bit, whatever stands beside it.
    """

    constant_head = "constant"

    @abstractmethod
    def sample_losses(self, prediction: Prediction, truth: Tensor) -> Tensor:
        """[B] float32, the loss of each sample; `truth` [B] are the targets."""

    @abstractmethod
    def sample_scores(self, prediction: Prediction, truth: Tensor) -> Scores:
        """As `scores`; `truth` [B] are the targets."""

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        return self.sample_losses(prediction, torch.stack(list(targets))).mean()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        return self.sample_scores(prediction, torch.stack(list(targets)))
