"""The box of the only object of an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.metrics import Scores
from foresight_probes.metrics import box_metrics as metric
from foresight_probes.metrics.resamples import mean
from foresight_probes.tasks import boxes


class Task(boxes.Task):
    """Predicts one box, as the task `boxes` does: that with the highest score, and those of tokens that overlap it."""

    metric_names = (*boxes.Task.metric_names, "centre_error", "size_error")
    outputs = OutputSpec(num_predictions=1, channels=5)

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the box, [1, 4] float32 as fractions of the input, of an image with exactly one object."""
        target = super().target(sample)
        alone = len(sample["annotations"].get("objects", ())) == 1
        return target if alone else None

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns IoU, distance of the centres as a fraction of the image's side, and relative error of the size."""
        chosen_B4 = torch.cat(boxes.kept_boxes(prediction, [1] * len(targets)))
        truth_B4 = torch.cat(list(targets)).cpu()
        iou = metric.iou_and_giou(chosen_B4, truth_B4)[0]
        parts = [iou, metric.centre_error(chosen_B4, truth_B4), metric.size_error(chosen_B4, truth_B4)]
        return torch.stack(parts, dim=1).double().numpy()

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        iou, centre, size = np.asarray(scores).T
        errors = {"centre_error": mean(centre, counts_RS), "size_error": mean(size, counts_RS)}
        return {**metric.summary(iou[:, None], counts_RS), **errors}

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:  # noqa: ARG002
        """Returns nothing: every image has one object."""
        return {}
