"""Boxes without matching, as a first attempt would have it; it stands here so that its low numbers can be explained.

Slot k is trained towards the k-th object in the order of annotation, which says nothing about the image, and reads
the mean over tokens, which has forgotten where things are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.geometry import input_fractions
from foresight_probes import tasks
from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores
from foresight_probes.metrics import box_metrics as metric
from foresight_probes.tasks.kinds.constant_boxes import covering_boxes

MOST = 10
"""Objects of an image that are kept: the first."""

LEAST = 0.01
"""Fraction of the image nearer than which a corner is to the image's side in no value that heads start from."""


class Task(tasks.Task):
    """Predicts ten boxes, whose corners are sigmoids, by the L1 distance over all of them.

    Slots beyond the number of objects are trained towards a box of zeros. In the evaluation each of the first K slots,
    K the number of objects, is given its IoU with the true box that it covers best, several times the same one if need
    be.
    """

    heads = ("pooled-linear",)
    primary = "mean_iou"
    metric_names = ("mean_iou", "median_iou", "share_above_0.5", "share_above_0.7")
    annotations = ("objects",)
    outputs = OutputSpec(num_predictions=MOST, channels=4, predicts=("per_sample",))
    start_forms = ("per_sample",)

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns boxes [K, 4] float32 as fractions of the model's input, the first ten in the order of annotation."""
        things = sample["annotations"].get("objects", ())
        objects = [thing["box"] for thing in things if not thing.get("crowd")][:MOST]
        return torch.from_numpy(input_fractions(np.array(objects), sample).clip(0, 1)).float() if objects else None

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns in each slot the box that covers any object best, of the images that the slot is asked of."""
        boxes_P4 = covering_boxes([target for target, _ in targets], MOST)
        return ConstantAnswer(values=functional.pad(boxes_P4.logit(eps=1e-6), (0, 0, 0, MOST - len(boxes_P4))))

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:  # noqa: ARG002 - of the whole sample
        """Returns the logits of the corners, those of slots without an object at the box of zeros, [10, 4]."""
        return functional.pad(target, (0, 0, 0, MOST - len(target))).clamp(LEAST, 1 - LEAST).logit()

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        truth = torch.stack([functional.pad(target, (0, 0, 0, MOST - len(target))) for target in targets])
        return functional.l1_loss(prediction.values.sigmoid(), truth)

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns the best IoU of each of the first K slots."""
        boxes_BP4 = prediction.values.sigmoid()
        return [
            metric.iou_and_giou(boxes[: len(target), None], target[None])[0].max(1).values.cpu().double().numpy()
            for boxes, target in zip(boxes_BP4, targets, strict=True)
        ]

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return metric.summary(scores, counts_RS)

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:
        return metric.by_count(scores)
