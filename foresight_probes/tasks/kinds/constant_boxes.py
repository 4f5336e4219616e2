"""Lists of boxes that fit many images without a look at any, as the metrics of boxes see them.

A list is chosen greedily, rank by rank, among true boxes of training images and boxes on a grid, and its boxes are
then moved, side by side, as long as that is better. Boxes are (x0, y0, x1, y1) as fractions of the image.
"""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresight_probes.metrics.box_metrics import SUPPRESSION, iou_and_giou
from foresight_probes.tasks.kinds.cell_means import evenly

IMAGES, TRUE_BOXES = 600, 400
"""Training images that a list is fitted to, and true boxes among the candidates, at most."""

STEPS = (0.08, 0.04, 0.02, 0.01)
"""Distances, as fractions of the image, by which sides are moved in search of a better box."""

LEAST_SIDE = 0.01
"""Least width and height of a box, as a fraction of the image."""


def ranked_boxes(truth: Sequence[Tensor], most: int) -> Tensor:
    """Returns boxes by falling rank, [P, 4] float32 with P <= `most`, for `box_metrics.object_scores`.

    The first K of them are matched with the K objects of an image, one to one; no two overlap so that one would be
    suppressed.
    """
    images = _Images(evenly(truth, IMAGES))
    boxes = torch.zeros(0, 4)
    for rank in range(min(most, images.objects_SK4.shape[1])):
        candidates = images.candidates()
        candidates = candidates[_apart(candidates, boxes)]
        if not len(candidates):
            break
        best = images.gains(candidates, boxes, rank).argmax()
        boxes = torch.cat([boxes, candidates[best, None]])
    for step, rank in product(STEPS, range(len(boxes))):
        others = torch.cat([boxes[:rank], boxes[rank + 1 :]])
        moved = moves(boxes[rank], step)
        moved = moved[_apart(moved, others)]
        changed = boxes.clone()
        if len(moved):
            changed[rank] = moved[images.gains(moved, others, rank).argmax()]
        if images.value(changed) > images.value(boxes):
            boxes = changed
    return boxes


def covering_boxes(truth: Sequence[Tensor], most: int) -> Tensor:
    """Returns boxes [P, 4] float32 with P <= `most`, of which number k has the greatest mean of its best IoU over the
    images with more than k objects."""
    images = _Images(evenly(truth, IMAGES))
    boxes = []
    for rank in range(min(most, images.objects_SK4.shape[1])):

        def value(boxes_M4: Tensor, rank: int = rank) -> Tensor:
            return images.overlap(boxes_M4)[:, images.counts_S > rank].amax(-1).mean(-1)

        candidates = images.candidates()
        boxes.append(_climbed(candidates[value(candidates).argmax()], value))
    return torch.stack(boxes)


def _climbed(box: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    """Moves a box while that is better."""
    for step in STEPS:
        moved = torch.cat([box[None], moves(box, step)])
        box = moved[value(moved).argmax()]
    return box


def moves(box: Tensor, step: float) -> Tensor:
    """Returns the box with each side, each pair of opposite sides, and its size changed by a step, [M, 4]."""
    signs = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])
    signs = torch.cat([signs, torch.tensor([[1.0, 0, -1, 0], [0, 1, 0, -1], [1, 1, -1, -1]])])
    moved = (box + step * torch.cat([signs, -signs])).clamp(0, 1)
    return moved[((moved[:, 2:] - moved[:, :2]) >= LEAST_SIDE).all(1)]


def grid_boxes(truth_M4: Tensor) -> Tensor:
    """Returns boxes of the quarter, half and three-quarter sizes of true ones, on a grid of 4×4 places, [M, 4]."""
    sides = (truth_M4[:, 2:] - truth_M4[:, :2]).quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0)
    at = torch.linspace(0, 1, 4)
    boxes = []
    for width, height, x, y in product(sides[:, 0], sides[:, 1], at, at):
        x0, y0 = x * (1 - width), y * (1 - height)
        boxes.append(torch.stack([x0, y0, x0 + width, y0 + height]))
    return torch.stack(boxes)


def _apart(boxes_M4: Tensor, chosen_P4: Tensor) -> Tensor:
    """Tells which boxes overlap no chosen one so that one of the two would be suppressed, [M] bool."""
    if not len(chosen_P4):
        return torch.ones(len(boxes_M4), dtype=torch.bool)
    return (iou_and_giou(boxes_M4[:, None], chosen_P4[None])[0] <= SUPPRESSION).all(1)


class _Images:
    """True boxes of images, of which a list of boxes is judged."""

    def __init__(self, truth: Sequence[Tensor]) -> None:
        self.counts_S = torch.tensor([len(boxes) for boxes in truth])
        self.objects_SK4 = pad_sequence([boxes.cpu() for boxes in truth], batch_first=True)
        self.real_SK = torch.arange(self.objects_SK4.shape[1]) < self.counts_S[:, None]

    def candidates(self) -> Tensor:
        """Returns the boxes that may be chosen, [M, 4]."""
        boxes = self.objects_SK4[self.real_SK]
        chosen = evenly(range(len(boxes)), TRUE_BOXES)
        return torch.cat([boxes[chosen], grid_boxes(boxes)])

    def overlap(self, boxes_M4: Tensor) -> Tensor:
        """Returns the IoU of each box with each object, [M, S, K], 0 where there is no object."""
        return iou_and_giou(boxes_M4[:, None, None], self.objects_SK4)[0] * self.real_SK

    def gains(self, boxes_M4: Tensor, others_P4: Tensor, rank: int) -> Tensor:
        """Returns the sums of IoU that each of the boxes adds at this rank, [M], with the objects that others leave."""
        asked = self.counts_S > rank
        free_SK = self._free(others_P4)[asked]
        return (self.overlap(boxes_M4)[:, asked] * free_SK).amax(-1).sum(-1)

    def value(self, boxes_P4: Tensor) -> float:
        """Returns the sum, over images, of the IoU of the first K boxes with the K objects that they match best."""
        iou_SPK = self.overlap(boxes_P4).transpose(0, 1).double().numpy()
        total = 0.0
        for iou, count in zip(iou_SPK, self.counts_S.tolist(), strict=True):
            seen = iou[:count, :count]
            total += seen[linear_sum_assignment(seen, maximize=True)].sum()
        return total

    def _free(self, boxes_P4: Tensor) -> Tensor:
        """Tells which objects no box takes, each box in turn the one that it fits best, [S, K] bool."""
        free_SK = self.real_SK.clone()
        images = torch.arange(len(free_SK))
        for rank, iou_SK in enumerate(self.overlap(boxes_P4)):
            best_S = (iou_SK * free_SK).argmax(-1)
            taken = (iou_SK[images, best_S] > 0) & (self.counts_S > rank)
            free_SK[images[taken], best_S[taken]] = False
        return free_SK
