"""Boxes of up to ten objects in an image, as a set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from foresight_cache.geometry import input_fractions
from foresight_probes import tasks
from foresight_probes.batches import Form, OutputSpec, Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.metrics import Scores
from foresight_probes.metrics import box_metrics as metric
from foresight_probes.tasks.kinds.constant_boxes import ranked_boxes
from foresight_probes.tasks.kinds.matching import by_cell, hungarian, object_shares
from foresight_probes.tasks.kinds.voting import voted_boxes

MOST = 10
"""Objects of an image that are kept: the largest."""

SIDE_WEIGHT, GIOU_WEIGHT, SCORE_WEIGHT = 5.0, 2.0, 1.0
"""Weights of the L1 distance, of 1 - GIoU and of the score, in the cost of matching and in the loss (DETR's)."""

LEAST = 0.01
"""Fraction of the image nearer than which centres are to its sides, and sizes to 0 and 1, in no value to start from."""

START_SCORE = 3.0
"""Logit that heads start from where there is an object, and its negative where there is none."""

REACH = 0.1
"""Distance of a box from its cell's centre or its place, as a fraction of the image, for a value of 1."""


class Task(tasks.Task):
    """Predicts a set of boxes with scores; see `foresight_probes.metrics.box_metrics.object_scores` for the evaluation.

    A prediction's five values are (x, y, width, height, score). Width and height are sigmoids. The centre is a sigmoid
    for a prediction from the whole sample, and 0.1 times the value from the cell's centre for a prediction from a
    token, or from the place of one that has a place. The set loss is that of DETR (Carion et al., ECCV 2020): Hungarian
    matching on 5 L1 + 2 (1 - GIoU) - score, then 5 L1 + 2 (1 - GIoU) for matched pairs and binary cross-entropy for the
    scores. Tokens are matched by their cells instead (`matching.by_cell`), several to an object; objects weigh the same
    whatever their size. The score is trained towards the IoU that the prediction has now, so that the best ones rank
    first. In the evaluation, a box that was kept of those from tokens is the mean of all that overlap it most.
    """

    heads = ("pooled-linear", "token-linear", "mlp")
    primary = "mean_iou"
    metric_names: tuple[str, ...] = ("mean_iou", "median_iou", "share_above_0.5", "share_above_0.7")
    annotations: tuple[str, ...] = ("objects",)
    outputs = OutputSpec(num_predictions=MOST, channels=5)
    start_forms: tuple[Form, ...] = ("per_sample", "per_token")

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns boxes [K, 4] float32 as fractions of the model's input, K from 1 to 10, the largest first.

        They follow the resize of the input, with or without a border. Crowds, which stand for unknown numbers of
        objects, and boxes without area are left out.
        """
        objects = sample["annotations"].get("objects", ())
        boxes = np.array([thing["box"] for thing in objects if not thing.get("crowd")], dtype=np.float64).reshape(-1, 4)
        boxes = input_fractions(boxes, sample).clip(0, 1)
        area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
        kept = [index for index in np.argsort(-area, kind="stable") if area[index] > 0][:MOST]
        return torch.from_numpy(boxes[kept]).float() if kept else None

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns a list of boxes, the first of which has the highest score (`constant_boxes.ranked_boxes`)."""
        boxes_P4 = ranked_boxes([target for target, _ in targets], self.outputs.num_predictions)
        ranks_P1 = -torch.arange(len(boxes_P4))[:, None]
        return ConstantAnswer(values=torch.cat([encode_boxes(boxes_P4), ranks_P1], dim=1).float())

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:
        """Returns code and score of the box that each cell is trained towards, [N, 5], or of the largest ones, [P, 5].

        Boxes of cells without an object are NaN, and those of predictions beyond the number of objects 0.
        """
        if cells is None:
            kept = target[: self.outputs.num_predictions]
            absent = self.outputs.num_predictions - len(kept)
            values = functional.pad(encode_boxes(kept, least=LEAST), (0, 0, 0, absent))
            present = torch.arange(len(values)) < len(kept)
        else:
            objects = cell_objects(target, cells)
            present = objects >= 0
            values = encode_boxes(target[objects], cells, least=LEAST).masked_fill(~present[:, None], torch.nan)
        score = torch.where(present, START_SCORE, -START_SCORE)
        return torch.cat([values, score[:, None]], dim=1)

    def start_groups(self, channels: int) -> list[list[int]]:
        """Returns the box and the score for the columns of a token, and all columns of a whole sample."""
        return [[0, 1, 2, 3], [4]] if channels == 5 else [list(range(channels))]

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        boxes_BP4, logits_BP = decode(prediction)
        truth_BK4 = pad_sequence(list(targets), batch_first=True)
        objects_BP = _assign(prediction, boxes_BP4, logits_BP, truth_BK4, targets)
        samples, slots = (objects_BP >= 0).nonzero(as_tuple=True)
        objects = objects_BP[samples, slots]
        matched, truth = boxes_BP4[samples, slots], truth_BK4[samples, objects]
        weight = object_shares(objects_BP)[samples, slots]
        iou, giou = metric.iou_and_giou(matched, truth)
        distance = (matched - truth).abs().sum(-1)
        fit = (weight * (SIDE_WEIGHT * distance + GIOU_WEIGHT * (1 - giou))).sum()
        aim_BP = torch.zeros_like(logits_BP).index_put((samples, slots), iou.detach().clamp(0, 1))
        score = functional.binary_cross_entropy_with_logits(
            logits_BP, aim_BP, weight=prediction.mask.float(), reduction="sum"
        )
        per_object = sum(map(len, targets))
        return (fit + SCORE_WEIGHT * score) / per_object

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns the IoU of each true object, [K] per sample."""
        boxes = kept_boxes(prediction, [len(target) for target in targets])
        return [metric.matched_iou(own, target.cpu()) for own, target in zip(boxes, targets, strict=True)]

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return metric.summary(scores, counts_RS)

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:
        return metric.by_count(scores)


def encode_boxes(boxes_N4: Tensor, cells_N4: Tensor | None = None, *, least: float = 1e-6) -> Tensor:
    """Returns the first four values of a prediction of these boxes, [N, 4], as `decode_boxes` reads them.

    Fractions that become logits are kept `least` away from 0 and 1.

    >>> boxes, cells = torch.tensor([[0.1, 0.2, 0.5, 0.8]]), torch.tensor([[0.25, 0.5, 0.5, 1.0]])
    >>> values = encode_boxes(boxes, cells)[None]
    >>> decode_boxes(Prediction(values=values, mask=torch.ones(1, 1, dtype=torch.bool), cells=cells[None]))
    tensor([[[0.1000, 0.2000, 0.5000, 0.8000]]])
    """
    centre, size = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2, boxes_N4[:, 2:] - boxes_N4[:, :2]
    inside = centre.logit(least) if cells_N4 is None else (centre - cells_N4[:, :2]) / REACH
    return torch.cat([inside, size.logit(least)], dim=1)


def cell_objects(boxes_K4: Tensor, cells_N4: Tensor) -> Tensor:
    """Returns the object that each cell of one sample is trained towards (`matching.by_cell`) or -1, [N] int64."""
    if not len(boxes_K4):
        return torch.full((len(cells_N4),), -1, device=cells_N4.device)
    exist = torch.ones(1, len(cells_N4), dtype=torch.bool, device=cells_N4.device)
    count = torch.tensor([len(boxes_K4)], device=cells_N4.device)
    return by_cell(cells_N4[None], exist, boxes_K4[None], count)[0]


def kept_boxes(prediction: Prediction, counts: Sequence[int]) -> list[Tensor]:
    """Returns the best boxes of each sample, at most so many, [K, 4] on the CPU, of which no two overlap much.

    Those of tokens are the mean of all that overlap them most (`voting.voted_boxes`).
    """
    kept = []
    for boxes_P4, logits_P, mask_P, count in zip(*decode(prediction), prediction.mask, counts, strict=True):
        own_P4, own_P = boxes_P4[mask_P].cpu(), logits_P[mask_P].cpu()
        best_K = metric.best_apart(own_P4, own_P, count)
        votes = prediction.cells is not None
        kept.append(voted_boxes(own_P4, functional.logsigmoid(own_P), best_K) if votes else own_P4[best_K])
    return kept


def decode(prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Returns boxes [B, P, 4] as fractions of the image and score logits [B, P]."""
    return decode_boxes(prediction), prediction.values[..., 4]


def decode_boxes(prediction: Prediction) -> Tensor:
    """Returns the boxes that a prediction's first four values stand for, [B, P, 4] as fractions of the image."""
    values = prediction.values
    places_BP2 = prediction.places if prediction.cells is None else prediction.cells[..., :2]
    centre = values[..., :2].sigmoid() if places_BP2 is None else places_BP2 + REACH * values[..., :2]
    half = values[..., 2:4].sigmoid() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def _assign(prediction: Prediction, boxes: Tensor, logits: Tensor, truth: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """Returns the object that each prediction is trained towards, or -1, [B, P] int64."""
    counts = torch.tensor([len(target) for target in targets], device=truth.device)
    if prediction.cells is not None:
        return by_cell(prediction.cells, prediction.mask, truth, counts)
    distance = (boxes[:, :, None] - truth[:, None]).abs().sum(-1)
    giou = metric.iou_and_giou(boxes[:, :, None], truth[:, None])[1]
    cost = SIDE_WEIGHT * distance + GIOU_WEIGHT * (1 - giou) - SCORE_WEIGHT * logits.sigmoid()[:, :, None]
    return hungarian(cost, counts)
