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
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores
from foresight_probes.metrics import coco_average_precision as metric
from foresight_probes.metrics.box_metrics import iou_and_giou
from foresight_probes.metrics.coco_matching import image_scores
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.boxes import GIOU_WEIGHT, SIDE_WEIGHT, decode_boxes, encode_boxes
from foresight_probes.tasks.kinds.constant_detections import best_detections
from foresight_probes.tasks.kinds.matching import hungarian

QUERIES = 100
"""Number of predictions from a whole sample."""

NOTHING_WEIGHT = 0.1
"""Weight of predictions that stand for no object, of which there are many more than of others (DETR's)."""

IMPOSSIBLE = -30.0
"""Logit of a class that is not meant."""

MOST_CLASSES = 1000
"""Category ids beyond which numbering classes by them is no longer sensible."""


class Task(tasks.Task):
    """Predicts a set of boxes with classes, as DETR does (Carion et al., ECCV 2020), on frozen features.

    A prediction's values are a box, as in the task `boxes`, then one logit per category id from 0 to the highest that
    occurs (91 for COCO, whose ids have gaps) and one for "no object". Hungarian matching on 5 L1 + 2 (1 - GIoU) -
    probability, then 5 L1 + 2 (1 - GIoU) of matched boxes and cross-entropy of all classes. In the evaluation a
    prediction's class is the likeliest that is an object, with its probability as score; crowds and areas count as
    COCO has them.
    """

    heads = ("cross-attention",)
    primary = "map_0.5"
    metric_names = ("map_0.5", "map_0.75", "map_0.5:0.95", "map_small", "map_medium", "map_large")
    annotations = ("objects",)

    def __init__(self, context: TaskContext) -> None:
        annotations = (sample["annotations"] for sample in context.samples)
        ids = [thing["category_id"] for objects in annotations for thing in objects.get("objects", ())]
        if ids and not 0 <= min(ids) <= max(ids) <= MOST_CLASSES:
            raise ProbeError(
                f"category ids go from {min(ids)} to {max(ids)}, expected numbers from 0 to {MOST_CLASSES}; "
                "number the categories in the dataset's annotations"
            )
        self.classes = max(ids, default=0) + 1
        self.outputs = OutputSpec(num_predictions=QUERIES, channels=4 + self.classes + 1, predicts=("per_sample",))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns float32 [1 + K, 7]: one row about the input, then one about each object; K may be 0.

        The first has the width and height of the model's input in pixels of the original, which with a border are more
        than its own. The others have a box as fractions of the input, class, area in pixels of the original, and 1 for
        a crowd.
        """
        objects = sample["annotations"].get("objects")
        if objects is None:
            return None
        size = np.array([sample["width"], sample["height"]])
        x0, y0, x1, y1 = input_fractions(np.array([0, 0, *size]), sample)
        rows = [np.array([*(size / (x1 - x0, y1 - y0)), 0, 0, 0, 0, 0])]
        for thing in objects:
            box = input_fractions(np.array(thing["box"]), sample)
            rows.append(np.array([*box, thing["category_id"], thing["area"], thing["crowd"]]))
        return torch.from_numpy(np.stack(rows)).float()

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns boxes with classes (`constant_detections.best_detections`), their shares as probabilities."""
        countable = [target[1:][target[1:, 6] == 0] for target, _ in targets]
        found_P6 = best_detections([objects[:, :5] for objects in countable], QUERIES)
        share_P1 = found_P6[:, 5:].clamp(1e-6, 1 - 1e-6)
        logits = torch.full((len(found_P6), self.classes + 1), IMPOSSIBLE)
        logits[:, self.classes :] = (1 - share_P1).log()
        logits = logits.scatter(1, found_P6[:, 4:5].long(), share_P1.log())
        return ConstantAnswer(values=torch.cat([encode_boxes(found_P6[:, :4]), logits], dim=1))

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        boxes, logits = decode_boxes(prediction), prediction.values[..., 4:]
        countable = [target[1:][target[1:, 6] == 0] for target in targets]
        truth = pad_sequence([objects[:, :5] for objects in countable], batch_first=True)
        counts = torch.tensor([len(objects) for objects in countable], device=truth.device)
        named = truth[..., 4].long()
        probability = logits.softmax(-1).gather(2, named[:, None].expand(-1, logits.shape[1], -1))
        distance = (boxes[:, :, None] - truth[:, None, :, :4]).abs().sum(-1)
        giou = iou_and_giou(boxes[:, :, None], truth[:, None, :, :4])[1]
        objects = hungarian(SIDE_WEIGHT * distance + GIOU_WEIGHT * (1 - giou) - probability, counts)
        samples, queries = (objects >= 0).nonzero(as_tuple=True)
        matched = objects[samples, queries]
        fit = SIDE_WEIGHT * distance[samples, queries, matched] + GIOU_WEIGHT * (1 - giou[samples, queries, matched])
        classes = torch.full_like(objects, self.classes)
        classes[samples, queries] = named[samples, matched]
        weight = torch.ones(self.classes + 1, device=logits.device)
        weight[self.classes] = NOTHING_WEIGHT
        return fit.sum() / counts.sum().clamp(min=1) + functional.cross_entropy(logits.mT, classes, weight)

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns `coco_matching.image_scores` of each image."""
        probability, classes = prediction.values[..., 4:].softmax(-1)[..., : self.classes].max(-1)
        fractions = decode_boxes(prediction)
        scores = []
        for row, target in enumerate(targets):
            size = target[0, :2].repeat(2)
            true = target[1:].cpu().double().numpy()
            scores.append(
                image_scores(
                    boxes=(fractions[row] * size).cpu().double().numpy(),
                    classes=classes[row].cpu().numpy(),
                    scores=probability[row].cpu().double().numpy(),
                    true_boxes=(target[1:, :4] * size).cpu().double().numpy(),
                    true_classes=true[:, 4],
                    areas=true[:, 5],
                    crowds=true[:, 6].astype(bool),
                )
            )
        return scores

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return metric.summary(scores, counts_RS)
