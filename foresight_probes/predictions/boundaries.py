"""Where the boundaries of objects are in a picture, and how a reconstruction fares there and inside of objects."""

from collections.abc import Mapping
from dataclasses import dataclass
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
NEAR = 1 / 112
"""Distance within which a pixel is at a boundary, along rows, columns and diagonals, of the picture's longer side: 4
pixels of 448, and no less than one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundaries:
    """Where objects end in a picture."""

    lines: np.ndarray
    """Pixels on boundaries, bool [H, W]."""
    objects: np.ndarray
    """Pixels of objects, bool [H, W]."""
    kind: str
    """What the boundaries are those of."""


def boundaries(cache: Cache, row: int, picture_HWC: np.ndarray) -> Boundaries:
    """Returns the boundaries of the objects of a sample.

    They are changes of the class in dense labels, else the sides of the objects' boxes, else Canny's edges. In dense
    labels, and beside edges, all is taken for an object.

    Args:
        cache: A cache.
        row: The sample's row in its table.
        picture_HWC: What the input shows, without the border of a letterbox, from 0 to 1.
    """
    sample = cache.rows[row]
    if LABELS in cache and "labels" in sample["annotations"]:
        changes = label_changes(middle_of(cache, row, LABELS)[inside(sample)][..., 0])
        return Boundaries(lines=changes, objects=np.ones_like(changes), kind="dense labels")
    boxes = [thing["box"] for thing in sample["annotations"].get("objects", ()) if not thing.get("crowd")]
    if boxes:
        sides, objects = _boxes(np.array(boxes, np.float64), sample, picture_HWC.shape[:2])
        return Boundaries(lines=sides, objects=objects, kind="boxes")
    edges = edge_map(picture_HWC)
    return Boundaries(lines=edges, objects=np.ones_like(edges), kind="Canny's edges")


def label_changes(labels_HW: np.ndarray) -> np.ndarray:
    """Returns the pixels whose label is not that of the pixel to the right or below, bool [H, W].

    >>> label_changes(np.array([[1, 1, 2], [1, 1, 2]])).tolist()
    [[False, True, False], [False, True, False]]
    """
    changes = np.zeros(labels_HW.shape, bool)
    changes[:, :-1] |= labels_HW[:, :-1] != labels_HW[:, 1:]
    changes[:-1] |= labels_HW[:-1] != labels_HW[1:]
    return changes


def _boxes(boxes_K4: np.ndarray, sample: Mapping[str, Any], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels under the sides of boxes, and those of whole boxes, of what the input shows of the picture."""
    rows, columns = inside(sample)
    _, height, width = sample["grid_pixel"]
    sides, objects = np.zeros(size, bool), np.zeros(size, bool)
    pixels = input_fractions(boxes_K4, sample) * [width, height, width, height]
    pixels -= [columns.start or 0, rows.start or 0] * 2
    for x0, y0, x1, y1 in pixels.round().astype(int).clip(0, [size[1] - 1, size[0] - 1] * 2):
        sides[[y0, y1], x0 : x1 + 1] = True
        sides[y0 : y1 + 1, [x0, x1]] = True
        objects[y0 : y1 + 1, x0 : x1 + 1] = True
    return sides, objects


def region_errors(picture_HWC: np.ndarray, truth_HWC: np.ndarray, found: Boundaries) -> np.ndarray:
    """Returns the mean absolute error at boundaries and that inside of objects, away from boundaries, [2] float64.

    It is NaN where there is no such pixel. At boundaries are pixels within `NEAR` of them, on either side.

    >>> truth, lines = np.zeros((16, 16, 3)), np.zeros((16, 16), bool)
    >>> lines[:, 0] = True
    >>> region_errors(truth + 0.25, truth, Boundaries(lines=lines, objects=~lines, kind="")).tolist()
    [0.25, 0.25]
    """
    distance = max(1, round(NEAR * max(truth_HWC.shape[:2])))
    near = binary_dilation(found.lines, np.ones((2 * distance + 1,) * 2, bool))
    error_HW = np.abs(picture_HWC - truth_HWC).mean(-1)
    return np.array([error_HW[own].mean() if own.any() else np.nan for own in (near, found.objects & ~near)])


def region_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the mean errors over samples, and how much larger they are at boundaries, of the same samples.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(region_summary, [np.array([0.5, 0.25]), np.array([0.25, 0.25])])
    {'region_error_boundaries': 0.375, 'region_error_interiors': 0.25, 'difference': 0.125}
    """
    near, interior = np.stack([np.asarray(score) for score in scores]).T
    parts = {"region_error_boundaries": near, "region_error_interiors": interior, "difference": near - interior}
    return {name: mean(values, counts_RS) for name, values in parts.items()}
