"""Tasks whose answer is one number, told from the whole sample."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import Outputs, Prediction
from foresight_probes.metrics import regression
from foresight_probes.tasks import Task


class Quantity(Task):
    """One value, squared error. A target is a float32 scalar."""

    heads: tuple[str, ...] = ("pooled-linear",)
    primary = "r2"
    outputs = Outputs(slots=1, channels=1, forms=("slots",))

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        return functional.mse_loss(prediction.values[:, 0, 0], torch.stack(list(targets)))

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> list[np.ndarray]:
        """See `regression.numbers`."""
        return regression.numbers(prediction.values[:, 0, 0], torch.stack(list(targets)))

    def metrics(self, scores: Sequence[np.ndarray]) -> dict[str, float]:
        return regression.number_summary(scores)

    def values_for(self, target: Tensor, cells: Tensor | None) -> Tensor:  # noqa: ARG002 - one value for all
        """[1, 1] float32: what a perfect head would predict."""
        return target.view(1, 1)
