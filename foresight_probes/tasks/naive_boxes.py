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
from foresight_probes.metrics import boxes as metric
from foresight_probes.results.scores import Scores

MOST = 10


class Task(tasks.Task):
    """Ten slots whose values become the corners of boxes by a sigmoid; the L1 distance over all of them.

    Slots beyond the number of objects are trained towards a box of zeros. In the evaluation each of the first K slots,
    K the number of objects, is given its IoU with the true box that it covers best, several times the same one if need
    be.
    """

    heads = ("pooled-linear",)
    primary = "mean_iou"
    outputs = OutputSpec(slots=MOST, channels=4, predicts=("per_sample",))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """[K, 4] float32 as fractions of the model's input, the first ten in the order of annotation."""
        objects = [each["box"] for each in sample["annotations"].get("objects", ()) if not each.get("crowd")][:MOST]
        return torch.from_numpy(input_fractions(np.array(objects), sample).clip(0, 1)).float() if objects else None

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        truth = torch.stack([functional.pad(target, (0, 0, 0, MOST - len(target))) for target in targets])
        return functional.l1_loss(prediction.values.sigmoid(), truth)

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """The best IoU of each of the first K slots."""
        found = prediction.values.sigmoid()
        return [
            metric.iou_and_giou(boxes[: len(target), None], target[None])[0].max(1).values.cpu().double().numpy()
            for boxes, target in zip(found, targets, strict=True)
        ]

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        return metric.summary(scores, counts)

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:
        return metric.by_count(scores)
