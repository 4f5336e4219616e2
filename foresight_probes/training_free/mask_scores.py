"""How well masks of objects agree: region similarity J and contour accuracy F, as on DAVIS.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (CVPR 2016), section 5;
Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation" (2017), for several objects.
"""

import math

import numpy as np
from scipy.ndimage import distance_transform_edt

TOLERANCE = 0.008
"""Distance within which contours agree, as a share of a frame's diagonal; rounded up to whole pixels."""


def region_similarity(mask_HW: np.ndarray, truth_HW: np.ndarray) -> float:
    """Returns J, the pixels in both masks over those in either; 1 where both are empty.

    >>> region_similarity(np.array([[True, True]]), np.array([[True, False]]))
    0.5
    """
    either = (mask_HW | truth_HW).sum()
    return float((mask_HW & truth_HW).sum() / either) if either else 1.0


def contour(mask_HW: np.ndarray) -> np.ndarray:
    """Returns the pixels of which the next one on the right, below, or diagonally below is of the other side, bool.

    >>> contour(np.array([[0, 0, 0], [0, 1, 1], [0, 1, 1]], bool)).astype(int).tolist()
    [[1, 1, 1], [1, 0, 0], [1, 0, 0]]
    """
    found = np.zeros(mask_HW.shape, bool)
    found[:, :-1] |= mask_HW[:, 1:] != mask_HW[:, :-1]
    found[:-1] |= mask_HW[1:] != mask_HW[:-1]
    found[:-1, :-1] |= mask_HW[1:, 1:] != mask_HW[:-1, :-1]
    return found


def contour_accuracy(mask_HW: np.ndarray, truth_HW: np.ndarray) -> float:
    """Returns F, the harmonic mean of the shares of either contour that lie near the other one.

    1 where neither mask has a contour, 0 where one alone has none.
    """
    own, true = contour(mask_HW), contour(truth_HW)
    if not own.any() or not true.any():
        return float(own.any() == true.any())
    reach = math.ceil(TOLERANCE * math.hypot(*mask_HW.shape))
    precision = (distance_transform_edt(~true)[own] <= reach).mean()
    recall = (distance_transform_edt(~own)[true] <= reach).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def object_scores(masks_FHW: np.ndarray, truth_FHW: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Returns J and F of each object, means over the frames of a clip, float64 [K, 2].

    Args:
        masks_FHW: Number of the object that is found in each pixel, int.
        truth_FHW: Number of the object that is there.
        objects: Numbers of the K objects that count.
    """
    scores = [
        [
            (region_similarity(mask == number, true == number), contour_accuracy(mask == number, true == number))
            for mask, true in zip(masks_FHW, truth_FHW, strict=True)
        ]
        for number in objects
    ]
    means: np.ndarray = np.array(scores, np.float64).reshape(len(objects), -1, 2).mean(1)
    return means
