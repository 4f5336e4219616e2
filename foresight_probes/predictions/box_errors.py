"""How far predicted boxes are from true ones, beside their overlap one to one: by the best match, and in pixels."""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from foresight_probes.metrics import Scores
from foresight_probes.metrics.box_metrics import iou_and_giou
from foresight_probes.metrics.resamples import mean, median, ratio
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.tasks.boxes import kept_boxes

COLUMNS = ("best IoU", "centre error in pixels", "side error in pixels")
"""What is known of each true object, in this order."""

_NEARER = 1e-6
"""Weight of the distance of centres beside IoU, so that of boxes that hit nothing the nearer ones are matched."""


def box_errors(boxes_P4: Tensor, truth_K4: Tensor, *, height: int, width: int) -> np.ndarray:
    """Returns `COLUMNS` of each true object, [K, 3] float64.

    The best IoU is the greatest with any of the boxes, several objects may share one. Errors are those of the box that
    is matched one to one, so that the sum of IoUs is greatest (`box_metrics.matched_iou`): the distance of the centres,
    and the mean distance of the four sides. An object without a box has a best IoU of 0 and infinite errors.

    Args:
        boxes_P4: Boxes that are looked at, float32, fractions of the model's input.
        truth_K4: True boxes.
        height: Height of the model's input in pixels.
        width: Its width.

    >>> truth = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.4]])
    >>> boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    >>> box_errors(boxes, truth, height=100, width=200).round(2).tolist()  # both objects share the box, one has it
    [[1.0, 0.0, 0.0], [0.8, inf, inf]]
    """
    errors_K3 = np.full((len(truth_K4), 3), np.inf)
    errors_K3[:, 0] = 0
    if not len(boxes_P4):
        return errors_K3
    iou_PK = iou_and_giou(boxes_P4[:, None], truth_K4[None])[0].double().numpy()
    errors_K3[:, 0] = iou_PK.max(0)
    unit = torch.tensor([width, height, width, height], dtype=torch.float64)
    boxes, truth = boxes_P4.double() * unit, truth_K4.double() * unit
    apart_PK = torch.cdist((boxes[:, :2] + boxes[:, 2:]) / 2, (truth[:, :2] + truth[:, 2:]) / 2).numpy()
    rows, columns = linear_sum_assignment(iou_PK - _NEARER * apart_PK / max(height, width), maximize=True)
    errors_K3[columns, 1] = apart_PK[rows, columns]
    errors_K3[columns, 2] = (boxes[rows] - truth[columns]).abs().mean(1).numpy()
    return errors_K3


def errors_of(predicted: Predicted) -> np.ndarray:
    """Returns `box_errors` of the kept boxes of a sample, flat; a clip's are those of the frame that has the boxes."""
    truth = predicted.target.cpu()
    _, height, width = predicted.sample["grid_pixel"]
    (boxes,) = kept_boxes(predicted.prediction, [len(truth)])
    return box_errors(boxes, truth, height=height, width=width).reshape(-1)


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the mean best IoU over the objects of all images, and the median errors in pixels.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(summary, [np.array([0.5, 4.0, 2.0, 1.0, 0.0, 0.0]), np.array([0.0, np.inf, np.inf])])
    {'best_match_iou': 0.5, 'centre_error_pixels': 4.0, 'side_error_pixels': 2.0}
    """
    iou, centre, side, counts = _objects(scores, counts_RS)
    return {
        "best_match_iou": mean(iou, counts),
        "centre_error_pixels": median(centre, counts),
        "side_error_pixels": median(side, counts),
    }


def within(scores: Scores, counts_RS: np.ndarray, limits: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Returns the 90th percentiles of errors, and the shares of objects with a side error of at most each limit.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> scores = [np.array([0.5, 4.0, 2.0, 1.0, 0.0, 0.0]), np.array([0.0, 9.0, 8.0])]
    >>> point_estimate(lambda scores, counts: within(scores, counts, (4.0,)), scores)
    {'centre 90 %': 9.0, 'side 90 %': 8.0, 'share_within_4': 0.6666666666666666}
    """
    _, centre, side, counts = _objects(scores, counts_RS)
    shares = {f"share_within_{limit:g}": mean(side <= limit, counts) for limit in limits}
    return {"centre 90 %": quantile(centre, counts, 0.9), "side 90 %": quantile(side, counts, 0.9), **shares}


def quantile(values_S: np.ndarray, counts_RS: np.ndarray, share: float) -> np.ndarray:
    """Returns the least value of each resample that this share of its values does not exceed, [R].

    >>> quantile(np.array([3.0, 1.0, 2.0]), np.array([[1, 1, 1], [1, 8, 1], [0, 0, 0]]), 0.9)
    array([ 3.,  2., nan])
    """
    order = np.argsort(values_S)
    upto_RS = counts_RS[:, order].cumsum(-1)
    below = (ratio(upto_RS, upto_RS[:, -1:]) < share - 1e-12).sum(-1)
    found: np.ndarray = np.append(values_S[order], np.nan)[np.where(upto_RS[:, -1] > 0, below, len(order))]
    return found


def _objects(scores: Scores, counts_RS: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the columns of all objects, and how often each resample has each of them."""
    tables = [np.asarray(score).reshape(-1, len(COLUMNS)) for score in scores]
    iou, centre, side = np.concatenate(tables).T
    return iou, centre, side, np.repeat(counts_RS, list(map(len, tables)), axis=1)
