"""Reads boxes of COCO files in the form in which they are written, and finds by area and outline which form that is.

COCO writes `[x, y, width, height]` in pixels. Tools write corners or fractions of the image under the same key, and
nothing in the box itself says so; the annotation's area and outline, and the borders of its image, do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from foresight_cache.datasets import BoxForm
from foresight_cache.datasets.parts.segmentation import extents
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import shown

_Corners = tuple[float, float, float, float]
"""`x0, y0, x1, y1` in pixels."""
ROUNDING = 1.0
"""Pixels by which a box may stand out of its image and is cut to it; published boxes are rounded that way."""
_SLACK = 1.5
"""Pixels by which a box and the outline in it may differ, as both are rounded."""
_SAME_AREA = 0.01
"""Share by which the area of a box and a published area may differ and are the same."""
_LARGEST = 1e9
"""No coordinate or size is larger. What is compared with it is a number: NaN is not below it, nor is infinity."""

READINGS: dict[BoxForm, tuple[str, Callable[[list[float], int, int], _Corners]]] = {
    "xywh": ("[x, y, width, height]", lambda box, _width, _height: (box[0], box[1], box[0] + box[2], box[1] + box[3])),
    "xyxy": ("corners [x0, y0, x1, y1]", lambda box, _width, _height: (box[0], box[1], box[2], box[3])),
    "fraction": (
        "fractions of the image",
        lambda box, width, height: (
            box[0] * width,
            box[1] * height,
            (box[0] + box[2]) * width,
            (box[1] + box[3]) * height,
        ),
    ),
}
"""What four numbers are in each form, in words, and the corners that they give in an image of a width and height."""


_NUMBERS = frozenset((int, float))


def is_number(value: Any) -> bool:
    """Returns whether a value is a number that a coordinate or a size can be."""
    return type(value) in _NUMBERS and -_LARGEST < value < _LARGEST


def _positive(value: Any) -> float | None:
    return value if is_number(value) and value > 0 else None


def is_box(value: Any) -> TypeGuard[list[float]]:
    """Returns whether a value is four numbers."""
    if not isinstance(value, list) or len(value) != 4:
        return False
    for number in value:  # noqa: SIM110 - sets have millions of boxes, and `all` takes twice as long
        if type(number) not in _NUMBERS or not -_LARGEST < number < _LARGEST:
            return False
    return True


def corners(published: Any, owner: str, width: int, height: int, form: BoxForm = "xywh") -> list[float]:
    """Returns the corners of a published box, cut to its image. Raises `BadSample`.

    >>> corners([10, 20, 30, 40], "annotation 1", width=640, height=480)
    [10.0, 20.0, 40.0, 60.0]
    >>> corners([600.5, 0, 40.2, 480], "annotation 1", width=640, height=480)
    [600.5, 0.0, 640.0, 480.0]
    >>> corners([0.5, 0.25, 0.25, 0.5], "annotation 1", width=640, height=480, form="fraction")
    [320.0, 120.0, 480.0, 360.0]
    """
    words, read = READINGS[form]
    if not is_box(published):
        raise BadSample(f"{owner} has bbox {shown(published)}, expected four numbers {words}")
    left, top, right, bottom = read(list(map(float, published)), width, height)
    if right < left or bottom < top:
        raise BadSample(f"{owner} has bbox {published}, whose width or height is negative")
    if min(left, top) < -ROUNDING or right > width + ROUNDING or bottom > height + ROUNDING:
        raise BadSample(f"{owner} has bbox {published}, which lies outside its image of {width}×{height} pixels")
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return [left, top, right, bottom]
    cut_x, cut_y = (min(max(value, 0.0), float(most)) for value, most in ((left, width), (top, height)))
    return [cut_x, cut_y, min(max(right, 0.0), float(width)), min(max(bottom, 0.0), float(height))]


@dataclass(slots=True)
class BoxTally:
    """Counts over a whole file how far boxes agree with area, outline and image, in each form.

    One box may lie wrong by accident; what is read in the wrong form disagrees in one direction.
    """

    boxes: int = 0
    plain: int = 0
    """Number of boxes that fit in COCO's form, and worse in each other."""
    better: dict[BoxForm, int] = field(default_factory=lambda: {"xyxy": 0, "fraction": 0})
    """Numbers of boxes that fit what else is known better in another form than in COCO's."""
    worse: dict[BoxForm, int] = field(default_factory=lambda: {"xyxy": 0, "fraction": 0})
    """Numbers of further boxes that fit worse in another form."""
    contradictions: int = 0
    """Number of boxes that contradict their own area or outline in COCO's form."""
    places: list[str] = field(default_factory=list)
    """The first three of those that contradict something, in words."""

    def add(self, entry: dict[str, Any], width: int, height: int) -> None:
        """Counts the annotation of an image of this size; what is no box is left for `corners` to refuse."""
        box = entry.get("bbox")
        if not is_box(box):
            return
        self.boxes += 1
        outline = _inside(extents(entry.get("segmentation")), width, height)
        area = _positive(entry.get("area"))
        plain = _fit(READINGS["xywh"][1](box, width, height), outline, area, width, height, pixels=True)
        if plain == _SAME and max(box[0], box[1]) > _SLACK:
            self.plain += 1  # no other form can fit a box as well that does not begin at the corner
            return
        better = False
        for form in self.worse:
            fit = _fit(READINGS[form][1](box, width, height), outline, area, width, height, pixels=form == "xyxy")
            self.better[form] += fit > plain
            self.worse[form] += fit < plain
            better = better or fit > plain
        inside = _is_inside(READINGS["xywh"][1](box, width, height), width, height)
        if plain == _IMPOSSIBLE and inside and (outline or area):
            self.contradictions += 1
        if (better or (plain == _IMPOSSIBLE and inside)) and len(self.places) < 3:
            self.places.append(_described(entry, outline, area))

    def check(self, path: Path) -> str | None:
        """Returns a sentence on boxes that contradict something, None where all is well.

        Raises `DatasetError` where another form fits better, or where most boxes contradict their own annotation.
        """
        places = "; ".join(self.places)
        for form in self.better:
            worse = self.worse[form] + self.plain
            if self.better[form] > worse:
                raise DatasetError(
                    f"{path}: the boxes seem to be {READINGS[form][0]}, where COCO has {READINGS['xywh'][0]}: "
                    f"{self.better[form]:,} of {self.boxes:,} fit their area, outline and image better so, and "
                    f"{worse:,} worse, such as {places}; read them with --boxes {form}, or as they stand "
                    "with --boxes xywh"
                )
        if not self.contradictions:
            return None
        told = f"{self.contradictions:,} of {self.boxes:,} boxes contradict their own area or outline, such as {places}"
        if 2 * self.contradictions > self.boxes:
            raise DatasetError(f"{path}: {told}; mend the file, or believe the boxes with --boxes xywh")
        return f"{path.name}: {told}"


_IMPOSSIBLE, _POSSIBLE, _SAME = range(3)
"""How a box fits: it contradicts what else is known, it does not, or it is just what outline or area say."""


def _fit(box: _Corners, outline: _Corners | None, area: float | None, width: int, height: int, *, pixels: bool) -> int:
    x0, y0, x1, y1 = box
    if x1 < x0 or y1 < y0 or not _is_inside(box, width, height):
        return _IMPOSSIBLE
    # Nothing is drawn inside the first pixel: these are fractions.
    if pixels and x0 < x1 <= 1 and y0 < y1 <= 1 and max(width, height) > 2:
        return _IMPOSSIBLE
    if area is not None and area > (x1 - x0 + _SLACK) * (y1 - y0 + _SLACK):
        return _IMPOSSIBLE
    if outline is not None:
        left, top, right, bottom = outline
        room = left - x0, top - y0, x1 - right, y1 - bottom
        if min(room) < -_SLACK:
            return _IMPOSSIBLE
        return _SAME if max(room) <= _SLACK else _POSSIBLE
    if area is not None and abs(area - (x1 - x0) * (y1 - y0)) <= _SAME_AREA * area:
        return _SAME
    return _POSSIBLE


def _inside(outline: _Corners | None, width: int, height: int) -> _Corners | None:
    """Returns the extents of an outline as far as they are in its image; None where there are none."""
    if outline is None:
        return None
    left, top, right, bottom = outline
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return outline
    inside = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    return inside if inside[0] <= inside[2] and inside[1] <= inside[3] else None


def _is_inside(box: _Corners, width: int, height: int) -> bool:
    return min(box[0], box[1]) >= -ROUNDING and box[2] <= width + ROUNDING and box[3] <= height + ROUNDING


def _described(entry: dict[str, Any], outline: _Corners | None, area: float | None) -> str:
    beside = [f"area {area:g}"] if area is not None else []
    if outline:
        beside.append("an outline from ({:g}, {:g}) to ({:g}, {:g})".format(*outline))
    said = f" beside {' and '.join(beside)}" if beside else ""
    return f"annotation {shown(entry.get('id'))} with bbox {shown(entry['bbox'])}{said}"
