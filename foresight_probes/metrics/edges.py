"""Edges of pictures, and how well those of a found picture lie on those of the true one."""

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.color import rgb2gray
from skimage.feature import canny

SIGMA, LOW, HIGH = 1.0, 0.1, 0.2
"""Of Canny's detector: width of the Gaussian in pixels, and thresholds of the gradient of a grey value from 0 to 1."""

TOLERANCE = 1
"""Pixels, along rows, columns and diagonals, that an edge may be away and still be found."""


def edge_map(picture: np.ndarray) -> np.ndarray:
    """Canny's edges, bool [H, W], of a picture [H, W, 3], uint8 or float from 0 to 1.

    Canny, "A Computational Approach to Edge Detection" (IEEE PAMI 1986), on the luminance (ITU-R BT.709).
    """
    edges: np.ndarray = canny(rgb2gray(picture), sigma=SIGMA, low_threshold=LOW, high_threshold=HIGH)  # type: ignore[no-untyped-call]
    return edges


def edge_f1(found: np.ndarray, truth: np.ndarray, tolerance: int = TOLERANCE) -> float:
    """F1 of edge pixels, both bool [H, W], where neighbours within `tolerance` pixels count as hit.

    Precision is the share of found edge pixels that have a true one in the square of 2 tolerance + 1 pixels around
    them, recall the share of true ones that have a found one there; F1 = 2 PR / (P + R). Two pictures without any
    edge agree (1); if only one has edges nothing is hit (0).

    >>> truth = np.eye(5, dtype=bool)
    >>> found = np.zeros((5, 5), dtype=bool)
    >>> found[0, 1] = found[0, 4] = True  # one beside the diagonal, one far from it
    >>> round(edge_f1(found, truth), 4)  # P = 1/2; (0, 0) and (1, 1) have it near, so R = 2/5
    0.4444
    >>> edge_f1(found, truth, tolerance=0)
    0.0
    """
    if not found.any() or not truth.any():
        return float(found.any() == truth.any())
    around = np.ones((2 * tolerance + 1,) * 2, dtype=bool)
    precision = (found & binary_dilation(truth, around)).sum() / found.sum()
    recall = (truth & binary_dilation(found, around)).sum() / truth.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def clip_edge_f1(found: Iterable[np.ndarray], truth: Iterable[np.ndarray]) -> float:
    """The mean of `edge_f1` over the frames of a clip."""
    return float(np.mean([edge_f1(one, other) for one, other in zip(found, truth, strict=True)]))
