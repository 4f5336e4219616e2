"""Tasks that predict one of several classes from the whole sample."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores, classification_metrics
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.per_sample import PerSample

UNSEEN = 0.5
"""Share of a sample that counts for a class which no training sample has, so that its logit is finite."""


def class_shares(targets: Answered, classes: int) -> ConstantAnswer:
    """Returns the logarithms of the classes' shares as logits, the constant of least cross-entropy."""
    counts = torch.bincount(torch.stack([target.cpu() for target, _ in targets]), minlength=classes).double()
    return ConstantAnswer(values=(counts.clamp(min=UNSEEN) / counts.sum()).log().float()[None])


class Classification(PerSample):
    """One logit per class, cross-entropy. The classes are the answers that occur in the cache, sorted."""

    heads: tuple[str, ...] = ("pooled-linear",)
    primary = "accuracy"
    metric_names: tuple[str, ...] = ("accuracy", "balanced_accuracy", "calibration_error")
    closed_form = "class"
    has_classes = True

    def __init__(self, context: TaskContext) -> None:
        answers = {answer for sample in context.samples if (answer := self.answer(sample)) is not None}
        self.classes: tuple[Any, ...] = tuple(sorted(answers))
        """Answer that each logit stands for."""
        self._numbers = {answer: torch.tensor(number) for number, answer in enumerate(self.classes)}
        self.outputs = OutputSpec(num_predictions=1, channels=max(2, len(self.classes)), predicts=("per_sample",))

    @abstractmethod
    def answer(self, sample: Mapping[str, Any]) -> Any:
        """Returns the answer for one row of the sample table; None where there is none."""

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the number of the class, an int64 scalar."""
        return self._numbers.get(self.answer(sample))

    def classes_of(self, target: Tensor) -> Tensor:
        return target[None]

    def class_name(self, number: int) -> str:
        return str(self.classes[number])

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        return class_shares(targets, self.outputs.channels)

    def sample_losses(self, prediction: Prediction, truth_B: Tensor) -> Tensor:
        return functional.cross_entropy(prediction.values[:, 0], truth_B, reduction="none")

    def sample_scores(self, prediction: Prediction, truth_B: Tensor) -> Scores:
        """Returns `classification.class_scores` of the logits."""
        return classification_metrics.class_scores(prediction.values[:, 0], truth_B)

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return classification_metrics.class_summary(scores, counts_RS)

    def target_class(self, target: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002 - the same for every token
        return target
