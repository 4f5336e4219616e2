"""The placement of an original in the input that the model sees, and so of its boxes and points.

Coordinates are continuous pixels with the origin at the upper left corner, as in `annotations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Fit = Literal["stretch", "letterbox"]
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """An original of `original_height` × `original_width` pixels in an input of `height` × `width`."""

    original_height: int
    original_width: int
    height: int
    width: int
    top: int = 0
    """Rows of the input above the original."""
    left: int = 0
    """Columns of the input left of the original."""
    inner_height: int
    """Rows that the resized original has."""
    inner_width: int

    def points(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Returns points x, y [..., 2] of the original in pixels of the input."""
        resized = np.asarray(points, np.float64) * (self.inner_width, self.inner_height)
        return resized / (self.original_width, self.original_height) + (self.left, self.top)

    def boxes(self, boxes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Returns boxes x0, y0, x1, y1 [..., 4] of the original in pixels of the input."""
        corners = np.asarray(boxes, np.float64)
        return self.points(corners.reshape(*corners.shape[:-1], 2, 2)).reshape(corners.shape)


def placement_for(original: tuple[int, int], size: tuple[int, int], fit: Fit) -> Placement:
    """Returns the placement of an original (height, width) in an input of a size (height, width).

    `stretch` fills the input and changes the proportions; `letterbox` keeps them, centres and leaves a border.

    >>> placement_for((100, 200), (448, 448), "stretch").boxes(np.array([[50, 50, 200, 100]])).tolist()
    [[112.0, 224.0, 448.0, 448.0]]
    >>> letterbox = placement_for((100, 200), (448, 448), "letterbox")
    >>> letterbox.top, letterbox.inner_height, letterbox.inner_width
    (112, 224, 448)
    >>> letterbox.boxes(np.array([0, 0, 200, 100])).tolist()
    [0.0, 112.0, 448.0, 336.0]
    """
    inner = size
    if fit == "letterbox":
        scale = min(size[0] / original[0], size[1] / original[1])
        inner = (min(size[0], max(1, round(original[0] * scale))), min(size[1], max(1, round(original[1] * scale))))
    return Placement(
        original_height=original[0],
        original_width=original[1],
        height=size[0],
        width=size[1],
        top=(size[0] - inner[0]) // 2,
        left=(size[1] - inner[1]) // 2,
        inner_height=inner[0],
        inner_width=inner[1],
    )


def input_placement(row: Mapping[str, Any]) -> Placement:
    """Returns the placement of a good sample of a cache, by its row in `Cache.rows`."""
    return placement_for((row["height"], row["width"]), row["grid_pixel"][1:], row["fit"])


def shown(row: Mapping[str, Any]) -> tuple[slice, slice]:
    """Returns the rows and the columns of the model's input that show the picture, by a row of `Cache.rows`.

    They are all of it but for a letterbox, whose border shows nothing.

    >>> shown({"height": 100, "width": 200, "grid_pixel": (1, 448, 448), "fit": "letterbox"})
    (slice(112, 336, None), slice(0, 448, None))
    """
    if row.get("fit", "stretch") == "stretch":
        return slice(0, row["grid_pixel"][1]), slice(0, row["grid_pixel"][2])
    placement = input_placement(row)
    rows = slice(placement.top, placement.top + placement.inner_height)
    return rows, slice(placement.left, placement.left + placement.inner_width)


def border_boxes(row: Mapping[str, Any]) -> list[tuple[float, float, float, float]]:
    """Returns the boxes beside the picture, as fractions of the model's input; none where it is all of that.

    >>> border_boxes({"height": 100, "width": 200, "grid_pixel": (1, 448, 448), "fit": "letterbox"})
    [(0.0, 0.0, 1.0, 0.25), (0.0, 0.75, 1.0, 1.0)]
    """
    if row.get("fit", "stretch") == "stretch":
        return []
    (height, width), (rows, columns) = row["grid_pixel"][1:], shown(row)
    top, bottom, left, right = rows.start / height, rows.stop / height, columns.start / width, columns.stop / width
    boxes = [(0.0, 0.0, 1.0, top), (0.0, bottom, 1.0, 1.0), (0.0, 0.0, left, 1.0), (right, 0.0, 1.0, 1.0)]
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes if x0 < x1 and y0 < y1]


def input_fractions(boxes: NDArray[np.floating[Any]], row: Mapping[str, Any]) -> NDArray[np.float64]:
    """Returns boxes [..., 4] in pixels of the original as fractions of the model's input, by a row of `Cache.rows`.

    A row without a `fit` is of a stretched input, where fractions of the original are those of the input.
    """
    original = np.array([row["width"], row["height"]] * 2, np.float64)
    if row.get("fit", "stretch") == "stretch":
        return np.asarray(boxes, np.float64) / original
    placement = input_placement(row)
    return placement.boxes(boxes) / ([placement.width, placement.height] * 2)
