"""Boxes that many tokens have drawn, made of all that were drawn for the same object.

Each token of an object draws its box from its own cell, with errors of its own, which a mean takes out. Boxes are
averaged by their scores as Gidaris and Komodakis do ("Object Detection via a Multi-region and Semantic
Segmentation-aware CNN Model", ICCV 2015).
"""

import torch
from torch import Tensor

from foresight_probes.metrics.box_metrics import iou_and_giou

SHARPNESS = 4
"""Power of a box's score that is its weight in the mean: many that are unsure count for less than one that is sure."""

LEAST = -1e6
"""Logarithm of the score of a box whose score is rounded to 0."""


def voted_boxes(boxes_P4: Tensor, log_scores_P: Tensor, kept_K: Tensor, classes_P: Tensor | None = None) -> Tensor:
    """Returns the kept boxes, each as the mean of all boxes that overlap it more than the other kept ones, [K, 4].

    Args:
        boxes_P4: [P, 4] float32.
        log_scores_P: Logarithms of the scores, which lie between 0 and 1.
        kept_K: Positions of the kept boxes among all.
        classes_P: Classes, int64, where only boxes of one class are averaged.

    The first box is kept and moves a third of the way towards the second; the third overlaps nothing:

    >>> boxes = torch.tensor([[0.0, 0, 0.4, 0.4], [0.3, 0, 0.7, 0.4], [0.8, 0.8, 0.9, 0.9]])
    >>> scores = torch.tensor([1.0, 0.5**0.25, 1.0])
    >>> voted_boxes(boxes, scores.log(), torch.tensor([0, 2]))
    tensor([[0.1000, 0.0000, 0.5000, 0.4000],
            [0.8000, 0.8000, 0.9000, 0.9000]])
    """
    if not len(kept_K):
        return boxes_P4[kept_K]
    iou_KP = iou_and_giou(boxes_P4[kept_K][:, None], boxes_P4[None])[0]
    if classes_P is not None:
        iou_KP = iou_KP * (classes_P[kept_K][:, None] == classes_P)
    votes_KP = (iou_KP == iou_KP.amax(0)) & (iou_KP > 0)
    votes_KP[torch.arange(len(kept_K), device=kept_K.device), kept_K] = True  # also for a box without area
    weights_P = SHARPNESS * log_scores_P.clamp(min=LEAST)
    return weights_P.expand_as(iou_KP).masked_fill(~votes_KP, -torch.inf).softmax(1) @ boxes_P4
