"""Where the boundaries of objects are in a picture, and how a reconstruction fares there and elsewhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation

from foresight_cache.geometry import input_fractions
from foresight_cache.reader import Cache
from foresight_probes.metrics import Scores
from foresight_probes.metrics.edge_metrics import edge_map
from foresight_probes.metrics.resamples import mean
from foresight_probes.predictions.shown import inside, middle_of

LABELS = "labels"
"""Point of a cache that has the class of each pixel."""
NEAR = 4
"""Distance in pixels, along rows, columns and diagonals, within which a pixel is at a boundary."""


def boundaries(cache: Cache, row: int, picture_HWC: np.ndarray) -> tuple[np.ndarray, str]:
    """Returns the pixels on boundaries of a sample, bool [H, W], and what they are those of.

    They are changes of the class in dense labels, else the sides of the objects' boxes, else Canny's edges.

    Args:
        cache: A cache.
        row: The sample's row in its table.
        picture_HWC: What the input shows, without the border of a letterbox, from 0 to 1.
    """
    sample = cache.rows[row]
    if LABELS in cache and "labels" in sample["annotations"]:
        return label_changes(middle_of(cache, row, LABELS)[inside(sample)][..., 0]), "dense labels"
    boxes = [thing["box"] for thing in sample["annotations"].get("objects", ()) if not thing.get("crowd")]
    if boxes:
        return _box_sides(np.array(boxes, np.float64), sample, picture_HWC.shape[:2]), "boxes"
    return edge_map(picture_HWC), "Canny's edges"


def label_changes(labels_HW: np.ndarray) -> np.ndarray:
    """Returns the pixels whose label is not that of the pixel to the right or below, bool [H, W].

    >>> label_changes(np.array([[1, 1, 2], [1, 1, 2]])).tolist()
    [[False, True, False], [False, True, False]]
    """
    changes = np.zeros(labels_HW.shape, bool)
    changes[:, :-1] |= labels_HW[:, :-1] != labels_HW[:, 1:]
    changes[:-1] |= labels_HW[:-1] != labels_HW[1:]
    return changes


def _box_sides(boxes_K4: np.ndarray, sample: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Returns the pixels under the sides of boxes, in the part of the input that shows the picture."""
    rows, columns = inside(sample)
    _, height, width = sample["grid_pixel"]
    sides = np.zeros(size, bool)
    pixels = input_fractions(boxes_K4, sample) * [width, height, width, height]
    pixels -= [columns.start or 0, rows.start or 0] * 2
    for x0, y0, x1, y1 in pixels.round().astype(int).clip(0, [size[1] - 1, size[0] - 1] * 2):
        sides[[y0, y1], x0 : x1 + 1] = True
        sides[y0 : y1 + 1, [x0, x1]] = True
    return sides


def region_errors(picture_HWC: np.ndarray, truth_HWC: np.ndarray, boundaries_HW: np.ndarray) -> np.ndarray:
    """Returns the mean absolute error at boundaries and that elsewhere, [2] float64, NaN where there is no such pixel.

    At boundaries are pixels within `NEAR` of them.

    >>> truth, lines = np.zeros((16, 16, 3)), np.zeros((16, 16), bool)
    >>> lines[:, 0] = True
    >>> region_errors(truth + 0.25, truth, lines).tolist()
    [0.25, 0.25]
    """
    near = binary_dilation(boundaries_HW, np.ones((2 * NEAR + 1,) * 2, bool))
    error_HW = np.abs(picture_HWC - truth_HWC).mean(-1)
    return np.array([error_HW[own].mean() if own.any() else np.nan for own in (near, ~near)])


def region_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the mean errors over samples, and how much larger they are at boundaries, of the same samples.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(region_summary, [np.array([0.5, 0.25]), np.array([0.25, 0.25])])
    {'region_error_near': 0.375, 'region_error_elsewhere': 0.25, 'difference': 0.125}
    """
    near, elsewhere = np.stack([np.asarray(score) for score in scores]).T
    parts = {"region_error_near": near, "region_error_elsewhere": elsewhere, "difference": near - elsewhere}
    return {name: mean(values, counts_RS) for name, values in parts.items()}
