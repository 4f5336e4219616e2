"""Whether the answer that a model gave about an image is hallucinated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes import tasks
from foresight_probes.batches import Outputs, Prediction
from foresight_probes.metrics import classification


class Task(tasks.Task):
    """One logit of "hallucinated", binary cross-entropy."""

    heads = ("pooled-linear", "mlp-512-256-128")
    primary = "auroc"
    outputs = Outputs(slots=1, channels=1, forms=("slots",))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """1.0 or 0.0, a float32 scalar."""
        hallucinated = sample["annotations"].get("qa", {}).get("hallucinated")
        return None if hallucinated is None else torch.tensor(float(hallucinated))

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        return functional.binary_cross_entropy_with_logits(prediction.values[:, 0, 0], torch.stack(list(targets)))

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> list[np.ndarray]:
        """See `classification.verdicts`."""
        return classification.verdicts(prediction.values[:, 0, 0], torch.stack(list(targets)))

    def metrics(self, scores: Sequence[np.ndarray]) -> dict[str, float]:
        return classification.verdict_summary(scores)
