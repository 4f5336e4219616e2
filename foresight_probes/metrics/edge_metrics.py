"""Edges of pictures, and the F1 score of predicted edges."""

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.color import rgb2gray
from skimage.feature import canny

SIGMA, LOW, HIGH = 1.0, 0.1, 0.2
"""Parameters of Canny's detector: width of the Gaussian in pixels, and thresholds of gradients of grey values."""

TOLERANCE = 1
"""Distance in pixels, along rows, columns and diagonals, within which an edge counts as hit."""


def edge_map(picture_HWC: np.ndarray) -> np.ndarray:
    """Returns Canny's edges, bool [H, W], of a picture of three channels, uint8 or float from 0 to 1.

    Canny, "A Computational Approach to Edge Detection" (IEEE PAMI 1986), on the luminance (ITU-R BT.709).
    """
    edges: np.ndarray = canny(rgb2gray(picture_HWC), sigma=SIGMA, low_threshold=LOW, high_threshold=HIGH)  # type: ignore[no-untyped-call]
    return edges


def edge_f1(edges_HW: np.ndarray, truth_HW: np.ndarray, tolerance: int = TOLERANCE) -> float:
    """Returns the F1 score of edge pixels, both bool, where neighbours within `tolerance` pixels count as hit.

    Precision is the share of predicted edge pixels that have a true one in the square of 2 tolerance + 1 pixels around
    them, recall the share of true ones that have a predicted one there; F1 = 2 PR / (P + R). Two pictures without any
    edge agree (1); if only one has edges nothing is hit (0).

    >>> truth = np.eye(5, dtype=bool)
    >>> edges = np.zeros((5, 5), dtype=bool)
    >>> edges[0, 1] = edges[0, 4] = True  # one beside the diagonal, one far from it
    >>> round(edge_f1(edges, truth), 4)  # P = 1/2; (0, 0) and (1, 1) have it near, so R = 2/5
    0.4444
    >>> edge_f1(edges, truth, tolerance=0)
    0.0
    """
    if not edges_HW.any() or not truth_HW.any():
        return float(edges_HW.any() == truth_HW.any())
    around = _square(tolerance)
    precision = (edges_HW & binary_dilation(truth_HW, around)).sum() / edges_HW.sum()
    recall = (truth_HW & binary_dilation(edges_HW, around)).sum() / truth_HW.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def around_edges(edges_THWC: np.ndarray, tolerance: int = TOLERANCE) -> np.ndarray:
    """Returns which pixels have an edge within `tolerance` pixels in their frame, bool [T, H, W, C]."""
    near: np.ndarray = binary_dilation(edges_THWC, _square(tolerance)[None, :, :, None])
    return near


def _square(tolerance: int) -> np.ndarray:
    return np.ones((2 * tolerance + 1,) * 2, dtype=bool)


def clip_edge_f1(edges: Iterable[np.ndarray], truth: Iterable[np.ndarray]) -> float:
    """Returns the mean of `edge_f1` over the frames of a clip."""
    return float(np.mean([edge_f1(one, other) for one, other in zip(edges, truth, strict=True)]))
