"""All objects of an image with their classes, as a set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import batched_nms  # type: ignore[import-untyped]

from foresight_cache.geometry import input_fractions
from foresight_probes import tasks
from foresight_probes.batches import Form, OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores
from foresight_probes.metrics import coco_average_precision as metric
from foresight_probes.metrics.box_metrics import SUPPRESSION, iou_and_giou
from foresight_probes.metrics.coco_matching import MOST, image_scores
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.boxes import (
    GIOU_WEIGHT,
    LEAST,
    SIDE_WEIGHT,
    START_SCORE,
    cell_objects,
    decode_boxes,
    encode_boxes,
)
from foresight_probes.tasks.kinds.categories import category_names, numbered
from foresight_probes.tasks.kinds.constant_detections import best_detections
from foresight_probes.tasks.kinds.matching import by_cell, hungarian, object_shares
from foresight_probes.tasks.kinds.voting import voted_boxes

QUERIES = 100
"""Number of predictions from a whole sample."""

NOTHING_WEIGHT = 0.1
"""Weight of predictions that stand for no object, of which there are many more than of others (DETR's)."""

IMPOSSIBLE = -30.0
"""Logit of a class that is not meant."""


class Task(tasks.Task):
    """Predicts a set of boxes with classes, as DETR does (Carion et al., ECCV 2020), on frozen features.

    A prediction's values are a box, as in the task `boxes`, then one logit per class and one for "no object". Classes
    are the categories that occur, from 1 in the order of their ids, as in `patch-class`; 0 stands for none. Hungarian
    matching on 5 L1 + 2 (1 - GIoU) - probability, then 5 L1 + 2 (1 - GIoU) of matched boxes and cross-entropy of all
    classes. Tokens are matched by their cells instead (`matching.by_cell`), several to an object, and are trained
    towards its class with the IoU that their box has now as probability, so that the best ones rank first. In the
    evaluation a prediction's class is the likeliest that is an object, with its probability as score; of boxes of one
    class, those with IoU above 0.5 to a surer one are dropped, and the best 100 are kept, each of tokens as the mean of
    all of its class that overlap it most. Crowds and areas count as COCO has them.
    """

    heads = ("token-linear", "anchored")
    primary = "map_0.5"
    metric_names = ("map_0.5", "map_0.75", "map_0.5:0.95", "map_small", "map_medium", "map_large")
    annotations = ("objects",)
    start_forms: tuple[Form, ...] = ("per_token",)
    has_classes = True

    def __init__(self, context: TaskContext) -> None:
        self._numbers = numbered(context.samples)
        """Class of each category id, as `patch-class` has it."""
        self._names = category_names(context.samples)
        self.classes = len(self._numbers) + 1
        self.outputs = OutputSpec(num_predictions=QUERIES, channels=4 + self.classes + 1)

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
            rows.append(np.array([*box, self._numbers[thing["category_id"]], thing["area"], thing["crowd"]]))
        return torch.from_numpy(np.stack(rows)).float()

    def classes_of(self, target: Tensor) -> Tensor:
        """Returns the classes of objects that are no crowds."""
        classes: Tensor = torch.unique(_countable(target)[:, 4].long())
        return classes

    def class_name(self, number: int) -> str:
        return self._names[number]

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns boxes with classes (`constant_detections.best_detections`), their shares as probabilities."""
        countable = [_countable(target) for target, _ in targets]
        found_P6 = best_detections([objects[:, :5] for objects in countable], QUERIES)
        share_P1 = found_P6[:, 5:].clamp(1e-6, 1 - 1e-6)
        logits = torch.full((len(found_P6), self.classes + 1), IMPOSSIBLE)
        logits[:, self.classes :] = (1 - share_P1).log()
        logits = logits.scatter(1, found_P6[:, 4:5].long(), share_P1.log())
        return ConstantAnswer(values=torch.cat([encode_boxes(found_P6[:, :4]), logits], dim=1))

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:
        """Returns code and class logits of the object that each cell is trained towards, [N, C].

        The codes of cells without an object are NaN, and their class is "no object".
        """
        assert cells is not None, "a set is started from tokens alone"  # noqa: S101
        truth = _countable(target)
        objects = cell_objects(truth[:, :4], cells)
        present = objects >= 0
        values = torch.full((len(cells), self.outputs.channels), -START_SCORE)
        values[:, :4] = torch.nan
        values[present, :4] = encode_boxes(truth[objects[present], :4], cells[present], least=LEAST)
        classes = torch.full_like(objects, self.classes)
        classes[present] = truth[objects[present], 4].long()
        return values.scatter(1, 4 + classes[:, None], START_SCORE)

    def start_groups(self, channels: int) -> list[list[int]]:
        """Returns the columns of the box, and those of the classes."""
        return [list(range(4)), list(range(4, channels))]

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        boxes_BP4, logits_BPK = decode_boxes(prediction), prediction.values[..., 4:]
        countable = [_countable(target) for target in targets]
        truth_BK5 = pad_sequence([objects[:, :5] for objects in countable], batch_first=True)
        counts_B = torch.tensor([len(objects) for objects in countable], device=truth_BK5.device)
        objects_BP = _assign(prediction, boxes_BP4, logits_BPK, truth_BK5, counts_B)
        samples, slots = (objects_BP >= 0).nonzero(as_tuple=True)
        matched, truth = boxes_BP4[samples, slots], truth_BK5[samples, objects_BP[samples, slots]]
        iou, giou = iou_and_giou(matched, truth[:, :4])
        fit = SIDE_WEIGHT * (matched - truth[:, :4]).abs().sum(-1) + GIOU_WEIGHT * (1 - giou)
        fit = (object_shares(objects_BP)[samples, slots] * fit).sum() / counts_B.sum().clamp(min=1)
        sure = torch.ones_like(iou) if prediction.cells is None else iou.detach().clamp(0, 1)
        aims_BPK = torch.zeros_like(logits_BPK)
        aims_BPK[..., self.classes] = 1
        aims_BPK[samples, slots, self.classes] = 1 - sure
        aims_BPK[samples, slots, truth[:, 4].long()] = sure
        weight_BP = torch.where(objects_BP >= 0, 1.0, NOTHING_WEIGHT) * prediction.mask
        cross_entropy_BP = functional.cross_entropy(logits_BPK.mT, aims_BPK.mT, reduction="none")
        return fit + (weight_BP * cross_entropy_BP).sum() / weight_BP.sum()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns `coco_matching.image_scores` of each image."""
        probability_BP, classes_BP = prediction.values[..., 4:].softmax(-1)[..., : self.classes].max(-1)
        boxes_BP4 = decode_boxes(prediction)
        scores = []
        for row, target in enumerate(targets):
            real = prediction.mask[row]
            boxes_P4, probability_P, classes_P = boxes_BP4[row][real], probability_BP[row][real], classes_BP[row][real]
            kept_K = batched_nms(boxes_P4, probability_P, classes_P, SUPPRESSION)[:MOST]
            votes = prediction.cells is not None
            boxes_K4 = voted_boxes(boxes_P4, probability_P.log(), kept_K, classes_P) if votes else boxes_P4[kept_K]
            size = target[0, :2].repeat(2)
            true = target[1:].cpu().double().numpy()
            scores.append(
                image_scores(
                    boxes=(boxes_K4 * size).cpu().double().numpy(),
                    classes=classes_P[kept_K].cpu().numpy(),
                    scores=probability_P[kept_K].cpu().double().numpy(),
                    true_boxes=(target[1:, :4] * size).cpu().double().numpy(),
                    true_classes=true[:, 4],
                    areas=true[:, 5],
                    crowds=true[:, 6].astype(bool),
                )
            )
        return scores

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return metric.summary(scores, counts_RS)

    def selection_value(self, scores: Scores) -> float:
        return metric.map_50(scores)


def _countable(target: Tensor) -> Tensor:
    """Returns the rows of a target that are objects and no crowds."""
    objects = target[1:]
    return objects[objects[:, 6] == 0]


def _assign(
    prediction: Prediction, boxes_BP4: Tensor, logits_BPK: Tensor, truth_BK5: Tensor, counts_B: Tensor
) -> Tensor:
    """Returns the object that each prediction is trained towards, or -1, [B, P] int64."""
    truth_BK4, classes_BK = truth_BK5[..., :4], truth_BK5[..., 4].long()
    if not truth_BK5.shape[1]:  # no image of the batch has an object
        return torch.full_like(prediction.mask, -1, dtype=torch.int64)
    if prediction.cells is not None:
        return by_cell(prediction.cells, prediction.mask, truth_BK4, counts_B)
    probability = logits_BPK.softmax(-1).gather(2, classes_BK[:, None].expand(-1, logits_BPK.shape[1], -1))
    distance = (boxes_BP4[:, :, None] - truth_BK4[:, None]).abs().sum(-1)
    giou = iou_and_giou(boxes_BP4[:, :, None], truth_BK4[:, None])[1]
    return hungarian(SIDE_WEIGHT * distance + GIOU_WEIGHT * (1 - giou) - probability, counts_B)
