"""Detections, the same for all images, with a high average precision at an IoU of 0.5."""

from collections.abc import Sequence

import torch
from torch import Tensor

from foresight_probes.metrics.box_metrics import SUPPRESSION, iou_and_giou
from foresight_probes.tasks.kinds.cell_means import evenly
from foresight_probes.tasks.kinds.constant_boxes import grid_boxes

THRESHOLD = 0.5
"""IoU from which a detection matches an object."""

IMAGES, TRUE_BOXES = 1000, 100
"""Training images that detections are fitted to, and true boxes of a class among the candidates, at most."""

PER_CLASS = 20
"""Detections of one class, at most."""


def best_detections(truth: Sequence[Tensor], most: int) -> Tensor:
    """Returns at most so many detections, [P, 6] float32: box, class, and the share of images in which it is right.

    Of each class the boxes are chosen that match an object, not matched yet, in most images, one after the other; none
    overlaps a better one so that it would be suppressed. The average precision of a class grows by about (share of
    objects) · (share of images) with each, by which the best are kept where there are too many.

    Args:
        truth: Objects of each image, [K, 5]: box and class.
    """
    images = [objects.cpu() for objects in evenly(truth, IMAGES)]
    number_M = torch.tensor([number for number, objects in enumerate(images) for _ in objects], dtype=torch.int64)
    objects_M5 = torch.cat(images) if images else torch.zeros(0, 5)
    detections, worth = [torch.zeros(0, 6)], [torch.zeros(0)]
    for name in torch.unique(objects_M5[:, 4]):
        own = objects_M5[:, 4] == name
        boxes, found = _of_class(objects_M5[own, :4], number_M[own])
        share = found / len(images)
        detections.append(torch.cat([boxes, name.expand(len(boxes), 1), share[:, None]], dim=1))
        worth.append(share * found / own.sum())
    order = torch.cat(worth).argsort(descending=True, stable=True)[:most]
    return torch.cat(detections)[order]


def _of_class(objects_M4: Tensor, image_M: Tensor) -> tuple[Tensor, Tensor]:
    """Returns boxes [P, 4], and in how many images each matches an object that those before it do not, [P]."""
    chosen = evenly(range(len(objects_M4)), TRUE_BOXES)
    candidates = torch.cat([objects_M4[chosen], grid_boxes(objects_M4)])
    images, own_M = torch.unique(image_M, return_inverse=True)
    hit_CM = iou_and_giou(candidates[:, None], objects_M4[None])[0] >= THRESHOLD
    boxes, found = [], []
    for _ in range(PER_CLASS):
        per_image_CS = torch.zeros(len(candidates), len(images)).index_add_(1, own_M, hit_CM.float())
        gains_C = (per_image_CS > 0).sum(1)
        best = int(gains_C.argmax())
        if not gains_C[best]:
            break
        boxes.append(candidates[best])
        found.append(gains_C[best].float())
        hit_CM[:, _first_of_each(hit_CM[best].nonzero()[:, 0], own_M)] = False
        hit_CM[iou_and_giou(candidates, candidates[best])[0] > SUPPRESSION] = False
    if not boxes:  # none of its objects has an area
        return candidates[:0], torch.zeros(0)
    return torch.stack(boxes), torch.stack(found)


def _first_of_each(objects: Tensor, image_M: Tensor) -> Tensor:
    """Returns the first of these objects in each image: a detection matches one."""
    images = image_M[objects].tolist()
    first = {image: int(index) for image, index in reversed(list(zip(images, objects.tolist(), strict=True)))}
    return torch.tensor(list(first.values()), dtype=torch.int64)
