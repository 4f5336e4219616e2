"""Tasks whose answer is one of several classes, told from the whole sample."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.metrics import classification
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.per_sample import PerSample


class Classification(PerSample):
    """One logit per class, cross-entropy. The classes are the answers that occur in the cache, sorted."""

    heads: tuple[str, ...] = ("pooled-linear",)
    primary = "accuracy"
    closed_form = "class"

    def __init__(self, setting: TaskContext) -> None:
        answers = {answer for sample in setting.samples if (answer := self.answer(sample)) is not None}
        self.classes: tuple[Any, ...] = tuple(sorted(answers))
        """What each logit stands for."""
        self._numbers = {answer: torch.tensor(number) for number, answer in enumerate(self.classes)}
        self.outputs = OutputSpec(slots=1, channels=max(2, len(self.classes)), predicts=("per_sample",))

    @abstractmethod
    def answer(self, sample: Mapping[str, Any]) -> Any:
        """The answer for one row of the sample table; None where there is none."""

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """The number of the class, an int64 scalar."""
        return self._numbers.get(self.answer(sample))

    def sample_losses(self, prediction: Prediction, truth: Tensor) -> Tensor:
        return functional.cross_entropy(prediction.values[:, 0], truth, reduction="none")

    def sample_scores(self, prediction: Prediction, truth: Tensor) -> Scores:
        """See `classification.class_scores`."""
        return classification.class_scores(prediction.values[:, 0], truth)

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        return classification.class_summary(scores, counts)

    def target_class(self, target: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002 - the same for every token
        """The class that a perfect head's highest logit stands for, an int64 scalar."""
        return target
