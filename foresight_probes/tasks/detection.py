"""All objects of an image with their classes, as a set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from foresight_cache.errors import ProbeError
from foresight_cache.geometry import input_fractions
from foresight_probes import tasks
from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.metrics import detection as metric
from foresight_probes.metrics.boxes import iou_and_giou
from foresight_probes.metrics.coco_matching import image_scores
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.boxes import GIOU_WEIGHT, SIDE_WEIGHT, decode_boxes
from foresight_probes.tasks.kinds.matching import hungarian

QUERIES = 100
"""Predictions from a whole sample."""

NOTHING_WEIGHT = 0.1
"""Weight of predictions that stand for no object, of which there are many more than of others (DETR's)."""

MOST_CLASSES = 1000
"""Category ids beyond which numbering classes by them is no longer sensible."""


class Task(tasks.Task):
    """The set prediction of DETR (Carion et al., ECCV 2020) on frozen features.

    A prediction's values are a box, as in the task `boxes`, then one logit per category id from 0 to the highest that
    occurs (91 for COCO, whose ids have gaps) and one for "no object". Hungarian matching on 5 L1 + 2 (1 - GIoU) -
    probability, then 5 L1 + 2 (1 - GIoU) of matched boxes and cross-entropy of all classes. In the evaluation a
    prediction's class is the likeliest that is an object, with its probability as score; crowds and areas count as
    COCO has them.
    """

    heads = ("cross-attention",)
    primary = "map_0.5"

    def __init__(self, setting: TaskContext) -> None:
        ids = [each["category_id"] for sample in setting.samples for each in sample["annotations"].get("objects", ())]
        if ids and not 0 <= min(ids) <= max(ids) <= MOST_CLASSES:
            raise ProbeError(
                f"category ids go from {min(ids)} to {max(ids)}, expected numbers from 0 to {MOST_CLASSES}; "
                "number the categories in the dataset's annotations."
            )
        self.classes = max(ids, default=0) + 1
        self.outputs = OutputSpec(slots=QUERIES, channels=4 + self.classes + 1, predicts=("per_sample",))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """float32 [1 + K, 7]: first the width and height of the model's input in pixels of the original, which with a
        border are more than its own; then per object its box as fractions of the input, class, area in pixels of the
        original and whether it is a crowd. K may be 0: nothing is to be found there."""
        objects = sample["annotations"].get("objects")
        if objects is None:
            return None
        size = np.array([sample["width"], sample["height"]])
        x0, y0, x1, y1 = input_fractions(np.array([0, 0, *size]), sample)
        rows = [np.array([*(size / (x1 - x0, y1 - y0)), 0, 0, 0, 0, 0])]
        for each in objects:
            box = input_fractions(np.array(each["box"]), sample)
            rows.append(np.array([*box, each["category_id"], each["area"], each["crowd"]]))
        return torch.from_numpy(np.stack(rows)).float()

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        boxes, logits = decode_boxes(prediction), prediction.values[..., 4:]
        wanted = [target[1:][target[1:, 6] == 0] for target in targets]
        truth = pad_sequence([objects[:, :5] for objects in wanted], batch_first=True)
        counts = torch.tensor([len(objects) for objects in wanted], device=truth.device)
        named = truth[..., 4].long()
        probability = logits.softmax(-1).gather(2, named[:, None].expand(-1, logits.shape[1], -1))
        distance = (boxes[:, :, None] - truth[:, None, :, :4]).abs().sum(-1)
        giou = iou_and_giou(boxes[:, :, None], truth[:, None, :, :4])[1]
        objects = hungarian(SIDE_WEIGHT * distance + GIOU_WEIGHT * (1 - giou) - probability, counts)
        samples, places = (objects >= 0).nonzero(as_tuple=True)
        taken = objects[samples, places]
        fit = SIDE_WEIGHT * distance[samples, places, taken] + GIOU_WEIGHT * (1 - giou[samples, places, taken])
        classes = torch.full_like(objects, self.classes)
        classes[samples, places] = named[samples, taken]
        weight = torch.ones(self.classes + 1, device=logits.device)
        weight[self.classes] = NOTHING_WEIGHT
        return fit.sum() / counts.sum().clamp(min=1) + functional.cross_entropy(logits.mT, classes, weight)

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """See `metrics.coco_matching.image_scores`."""
        probability, classes = prediction.values[..., 4:].softmax(-1)[..., : self.classes].max(-1)
        fractions = decode_boxes(prediction)
        found = []
        for place, target in enumerate(targets):
            size = target[0, :2].repeat(2)
            true = target[1:].cpu().double().numpy()
            found.append(
                image_scores(
                    boxes=(fractions[place] * size).cpu().double().numpy(),
                    classes=classes[place].cpu().numpy(),
                    scores=probability[place].cpu().double().numpy(),
                    true_boxes=(target[1:, :4] * size).cpu().double().numpy(),
                    true_classes=true[:, 4],
                    areas=true[:, 5],
                    crowds=true[:, 6].astype(bool),
                )
            )
        return found

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        return metric.summary(scores, counts)
