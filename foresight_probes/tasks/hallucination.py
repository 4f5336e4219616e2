"""The hallucination, or not, of the answer that a model gave about an image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores, classification_metrics
from foresight_probes.tasks.kinds.classification import class_shares
from foresight_probes.tasks.kinds.per_sample import PerSample


class Task(PerSample):
    """Two logits, of "no" and of "yes", cross-entropy; the surer of yes, the likelier a hallucination."""

    heads = ("pooled-linear", "mlp-512-256-128")
    primary = "auroc"
    metric_names = ("auroc", "auprc", "accuracy", "calibration_error")
    annotations = ("qa",)
    closed_form = "class"
    has_classes = True
    outputs = OutputSpec(num_predictions=1, channels=2, predicts=("per_sample",))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns 1 for a hallucination and 0 for none, an int64 scalar."""
        hallucinated = sample["annotations"].get("qa", {}).get("hallucinated")
        return None if hallucinated is None else torch.tensor(int(hallucinated))

    def classes_of(self, target: Tensor) -> Tensor:
        return target[None]

    def class_name(self, number: int) -> str:
        return ("no", "yes")[number]

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        return class_shares(targets, self.outputs.channels)

    def sample_losses(self, prediction: Prediction, truth_B: Tensor) -> Tensor:
        return functional.cross_entropy(prediction.values[:, 0], truth_B, reduction="none")

    def sample_scores(self, prediction: Prediction, truth_B: Tensor) -> Scores:
        """Returns `classification.binary_scores` of the difference of the logits."""
        no, yes = prediction.values[:, 0].unbind(-1)
        return classification_metrics.binary_scores(yes - no, truth_B)

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return classification_metrics.binary_summary(scores, counts_RS)

    def target_class(self, target: Tensor, cells: Tensor) -> Tensor:  # noqa: ARG002 - the same for every token
        return target
