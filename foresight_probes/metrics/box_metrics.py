"""Overlap of boxes, and how well a set of predicted boxes covers the true ones.

Boxes are (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import nms  # type: ignore[import-untyped]

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import mean, median, point_estimate

SUPPRESSION = 0.5
"""IoU beyond which, of two predictions, the one with the lower score is dropped."""

COUNTS = (("1", 1, 1), ("2", 2, 2), ("3", 3, 3), ("4-5", 4, 5), ("6+", 6, None))
"""Numbers of objects in an image that are reported apart: name, least, most."""


def iou_and_giou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Returns IoU and generalised IoU of boxes [..., 4] and [..., 4], broadcast against each other.

    IoU = |A ∩ B| / |A ∪ B|. GIoU = IoU - (|C| - |A ∪ B|) / |C| with C the smallest box around both (Rezatofighi
    et al., "Generalized Intersection over Union", CVPR 2019); it is negative for boxes that lie apart, so it has
    a slope where IoU is flat. Boxes without area give 0 and not NaN.

    >>> iou, giou = iou_and_giou(torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2]))
    >>> round(iou.item(), 4), round(giou.item(), 4)  # 2 of 6 covered; the box around both is 6 large
    (0.3333, 0.3333)
    >>> iou, giou = iou_and_giou(torch.tensor([0.0, 0, 1, 1]), torch.tensor([2.0, 0, 3, 1]))
    >>> round(iou.item(), 4), round(giou.item(), 4)  # apart: 0 of 2 covered, 1 of the 3 around both is empty
    (0.0, -0.3333)
    """
    inner = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    outer = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    intersection = inner.clamp(min=0).prod(-1)
    union = _area(first) + _area(second) - intersection
    hull = outer.prod(-1)
    tiny = torch.finfo(union.dtype).tiny
    iou = intersection / union.clamp(min=tiny)
    return iou, iou - (hull - union) / hull.clamp(min=tiny)


def centre_error(boxes: Tensor, truth: Tensor) -> Tensor:
    """Returns the distance between the centres of boxes [..., 4] and true boxes [..., 4], in the boxes' own unit.

    >>> centre_error(torch.tensor([0.0, 0, 0.2, 0.2]), torch.tensor([0.3, 0.4, 0.5, 0.6])).item()
    0.5
    """
    apart = boxes[..., :2] + boxes[..., 2:] - truth[..., :2] - truth[..., 2:]
    return apart.square().sum(-1).sqrt() / 2


def size_error(boxes: Tensor, truth: Tensor) -> Tensor:
    """Returns the relative error of the size of boxes [..., 4]: the mean of those of width and height.

    >>> size_error(torch.tensor([0.0, 0, 2, 4]), torch.tensor([5.0, 5, 9, 9])).item()  # half as wide, as high
    0.25
    """
    sides, true = boxes[..., 2:] - boxes[..., :2], truth[..., 2:] - truth[..., :2]
    return ((sides - true).abs() / true.clamp(min=torch.finfo(true.dtype).tiny)).mean(-1)


def object_scores(boxes_P4: Tensor, scores_P: Tensor, truth_K4: Tensor) -> np.ndarray:
    """Returns the IoU of each true object with the prediction that is matched to it.

    The number K of true objects is given to the evaluation, because counting is another task. Predictions are ranked by
    score, overlapping ones suppressed (IoU above 0.5), the best K kept and matched one to one so that the sum of IoUs
    is greatest (Kuhn, "The Hungarian Method for the Assignment Problem", 1955). An object without a prediction scores
    0. So it does not help to cover the image with many boxes: only K of them are looked at.

    Args:
        boxes_P4: [P, 4] float32, fractions of the image.
        scores_P: [P] float32, the higher the surer.
        truth_K4: [K, 4] float32, K at least 1.

    Returns: [K] float64.

    Two objects and four predictions. The second prediction repeats the first and is suppressed (IoU 0.9). Of the
    three that are left the best two are kept: the perfect one, and one that hits nothing. The last would have
    been right for the second object, but its score is too low to be among two:

    >>> truth = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9]])
    >>> boxes = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.2, 0.18], [0.3, 0.0, 0.4, 0.1], [0.5, 0.5, 0.9, 0.9]])
    >>> object_scores(boxes, torch.tensor([0.9, 0.8, 0.7, 0.6]), truth).tolist()
    [1.0, 0.0]
    >>> object_scores(boxes, torch.tensor([0.9, 0.8, 0.5, 0.6]), truth).tolist()
    [1.0, 1.0]
    """
    return matched_iou(boxes_P4[best_apart(boxes_P4, scores_P, len(truth_K4))], truth_K4)


def best_apart(boxes_P4: Tensor, scores_P: Tensor, count: int) -> Tensor:
    """Returns the positions of at most so many boxes with the highest scores, of which no two overlap much.

    >>> boxes = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.0, 0.0, 0.2, 0.18], [0.5, 0.5, 0.9, 0.9]])
    >>> best_apart(boxes, torch.tensor([0.9, 0.8, 0.1]), 2).tolist()
    [0, 2]
    """
    kept: Tensor = nms(boxes_P4, scores_P, SUPPRESSION)[:count]
    return kept


def matched_iou(boxes_P4: Tensor, truth_K4: Tensor) -> np.ndarray:
    """Returns the IoU of each true object with the box that is matched to it, [K], 0 where there is none.

    >>> truth = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9]])
    >>> matched_iou(torch.tensor([[0.5, 0.5, 0.9, 0.9]]), truth).tolist()
    [0.0, 1.0]
    """
    iou = iou_and_giou(boxes_P4[:, None], truth_K4[None])[0].double().numpy()
    iou_K = np.zeros(len(truth_K4))
    rows, columns = linear_sum_assignment(iou, maximize=True)
    iou_K[columns] = iou[rows, columns]
    return iou_K


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns metrics over the objects of all images; `scores` holds one array of IoUs per image.

    >>> point_estimate(summary, [np.array([0.9]), np.array([0.6, 0.0])])
    {'mean_iou': 0.5, 'median_iou': 0.6, 'share_above_0.5': 0.6666666666666666, 'share_above_0.7': 0.3333333333333333}
    """
    iou = np.concatenate(scores)
    counts = np.repeat(counts_RS, list(map(len, scores)), axis=1)
    return {
        "mean_iou": mean(iou, counts),
        "median_iou": median(iou, counts),
        "share_above_0.5": mean(iou > 0.5, counts),
        "share_above_0.7": mean(iou > 0.7, counts),
    }


def by_count(scores: Scores) -> dict[str, dict[str, float]]:
    """Returns the summary of images with 1, 2, 3, 4-5 and more objects apart, with the number of images and objects.

    Numbers of objects that no image has are left out.

    >>> by_count([np.array([0.9]), np.array([0.6, 0.0])])["2"]["mean_iou"]
    0.3
    >>> {name: bucket["images"] for name, bucket in by_count([np.ones(1), np.ones(4), np.ones(5)]).items()}
    {'1': 1, '4-5': 2}
    """
    buckets = {}
    for name, least, most in COUNTS:
        images = [iou for iou in scores if least <= len(iou) <= (most or len(iou))]
        if images:
            buckets[name] = {"images": len(images), "objects": sum(map(len, images)), **point_estimate(summary, images)}
    return buckets


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
