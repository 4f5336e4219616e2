"""Four ways to give boxes an IoU, of which studies rarely say which they took.

K true boxes and P predicted ones, of which the first K are looked at unless it says otherwise.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from foresight_probes.metrics.box_metrics import iou_and_giou, matched_iou

Judge = Callable[[Tensor, Tensor], np.ndarray]
"""Function from predicted boxes [P, 4] and true boxes [K, 4] to the IoUs of a scene, [K] float64."""


def by_hungarian(boxes_P4: Tensor, truth_K4: Tensor) -> np.ndarray:
    """Returns the IoU of each object with the slot that is matched to it one to one, for the largest sum.

    >>> import torch
    >>> boxes, other = torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3], [9, 9, 9, 9]]), torch.tensor([[2.0, 2, 3, 3]])
    >>> by_hungarian(boxes, torch.cat([other, other])).tolist()
    [0.0, 1.0]
    """
    return matched_iou(boxes_P4[: len(truth_K4)], truth_K4)


def by_hungarian_of_all(boxes_P4: Tensor, truth_K4: Tensor) -> np.ndarray:
    """Returns the same where all slots are looked at and the K that fit best are kept: the more slots, the better.

    >>> import torch
    >>> by_hungarian_of_all(torch.tensor([[2.0, 2, 3, 3], [0, 0, 1, 1]]), torch.tensor([[0.0, 0, 1, 1]])).tolist()
    [1.0]
    """
    return matched_iou(boxes_P4, truth_K4)


def by_best(boxes_P4: Tensor, truth_K4: Tensor) -> np.ndarray:
    """Returns the IoU of each slot with the object that it covers best, several with the same one if need be.

    >>> import torch
    >>> by_best(torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]]), torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3]])).tolist()
    [1.0, 1.0]
    """
    best_K: np.ndarray = _iou(boxes_P4[: len(truth_K4)], truth_K4).max(1)
    return best_K


def by_place(boxes_P4: Tensor, truth_K4: Tensor) -> np.ndarray:
    """Returns the IoU of slot k with the k-th object in the order of annotation.

    >>> import torch
    >>> by_place(torch.tensor([[2.0, 2, 3, 3], [0, 0, 1, 1]]), torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3]])).tolist()
    [0.0, 0.0]
    """
    iou_K: np.ndarray = _iou(boxes_P4[: len(truth_K4)], truth_K4).diagonal()
    return iou_K


def judged(boxes_BP4: Tensor, truth: Sequence[Tensor], judge: Judge) -> list[np.ndarray]:
    """Returns the IoUs of each scene."""
    return [judge(boxes_P4, truth_K4) for boxes_P4, truth_K4 in zip(boxes_BP4, truth, strict=True)]


def _iou(boxes_K4: Tensor, truth_K4: Tensor) -> np.ndarray:
    iou: np.ndarray = iou_and_giou(boxes_K4[:, None], truth_K4[None])[0].double().numpy()
    return iou
