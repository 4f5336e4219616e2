"""Turns COCO's outlines of objects, published in any of its three forms, into compressed run lengths.

Polygons and run lengths reach pycocotools' C code only after they were checked: it believes what it is given.
"""

import math
from array import array
from collections.abc import Iterator
from typing import Any, TypeGuard

from foresight_cache.errors import BadSample
from foresight_cache.records import shown

_NUMBERS = {int, float}
_LONGEST = 1 << 20
"""Numbers of an outline, or characters of its compressed run lengths, that no object has."""


def pack_outlines(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns a JSON object with its outline in a tenth of the memory; meant as `object_hook`."""
    outline = entry.get("segmentation")
    if isinstance(outline, list):
        entry["segmentation"] = [_packed(polygon) for polygon in outline]
    if isinstance(counts := entry.get("counts"), list):
        entry["counts"] = _packed(counts)
    return entry


def _packed(numbers: Any) -> Any:
    """Returns an array of doubles, or the value itself where it is not a list of numbers."""
    if not isinstance(numbers, list) or not set(map(type, numbers)) <= _NUMBERS:
        return numbers
    try:
        return array("d", numbers)
    except OverflowError:
        return numbers


def is_empty(outline: Any) -> bool:
    """Returns whether a published outline is none: null, no polygon, or one polygon without a number.

    >>> is_empty(None), is_empty([]), is_empty([[]]), is_empty([[1, 2]])
    (True, True, True, False)
    """
    return outline is None or (
        isinstance(outline, list) and (not outline or (len(outline) == 1 and _is_bare(outline[0])))
    )


def extents(outline: Any) -> tuple[float, float, float, float] | None:
    """Returns left, top, right and bottom of an outline of polygons; None of run lengths and of what is no outline."""
    if not isinstance(outline, list) or not outline:
        return None
    left = top = math.inf
    right = bottom = -math.inf
    for polygon in outline:
        if not isinstance(polygon, array) or len(polygon) < 6:
            return None
        xs, ys = polygon[::2], polygon[1::2]
        left, right = min(left, min(xs)), max(right, max(xs))
        top, bottom = min(top, min(ys)), max(bottom, max(ys))
    return (left, top, right, bottom) if math.isfinite(right + bottom - left - top) else None


def _is_bare(polygon: Any) -> bool:
    return isinstance(polygon, array | list) and not polygon


def run_lengths(outline: Any, owner: str, width: int, height: int) -> dict[str, Any] | None:
    """Returns `{"size": [height, width], "counts": text}` for a published outline; None where there is none.

    The pixels are those that `pycocotools.coco.COCO.annToRLE` gives. `owner` names the annotation in errors.
    Raises `BadSample`.
    """
    if is_empty(outline):
        return None
    if isinstance(outline, list):
        return _encoded(_polygons(outline, owner, width, height), owner, width, height)
    if isinstance(outline, dict) and outline.get("size") == [height, width]:
        counts = outline.get("counts")
        if isinstance(counts, array) and _covers(counts, width, height):
            runs = {"size": [height, width], "counts": [int(count) for count in counts]}
            return _encoded(runs, owner, width, height)
        if _is_short_text(counts) and _covers(array("d", _decompressed(counts)), width, height):
            return {"size": [height, width], "counts": counts}
    raise BadSample(
        f"{owner} has a segmentation that is neither polygons nor the run lengths of {width}×{height} pixels"
    )


def _polygons(outline: list[Any], owner: str, width: int, height: int) -> "list[array[float]]":
    """Returns the polygons of an outline, which pycocotools takes as they are. Raises `BadSample`."""
    for polygon in outline:
        # pycocotools takes four numbers for a box, and a list that begins with them for a list of boxes.
        if not isinstance(polygon, array) or len(polygon) % 2 or not 6 <= len(polygon) < _LONGEST:
            shape = f"{len(polygon)} numbers" if isinstance(polygon, array | list) else shown(polygon)
            raise BadSample(f"{owner} has a polygon of {shape}, expected x and y of three or more points")
        # A little outside is drawn as pycocotools draws it; far outside it would take memory without end.
        xs, ys = polygon[::2], polygon[1::2]
        inside = -width <= min(xs) <= max(xs) <= 2 * width and -height <= min(ys) <= max(ys) <= 2 * height
        if not inside or not math.isfinite(sum(polygon)):  # which is not, where a number is not
            raise BadSample(f"{owner} has a polygon that lies outside its image of {width}×{height} pixels")
    return outline


def _encoded(outline: Any, owner: str, width: int, height: int) -> dict[str, Any]:
    from pycocotools import mask

    try:
        encoded = mask.frPyObjects(outline, height, width)
        merged = mask.merge(encoded) if isinstance(encoded, list) else encoded
    except Exception as error:  # here the annotation's name is known, and pycocotools says none
        raise BadSample(f"{owner} has a segmentation that pycocotools cannot draw: {error}") from None
    return {"size": [height, width], "counts": merged["counts"].decode("ascii")}


def box_of(run_lengths: dict[str, Any]) -> list[float]:
    """Returns the corners `[x0, y0, x1, y1]` of the pixels that compressed run lengths cover."""
    from pycocotools import mask

    x, y, width, height = map(float, mask.toBbox(run_lengths))
    return [x, y, x + width, y + height]


def _is_short_text(counts: Any) -> TypeGuard[str]:
    return isinstance(counts, str) and counts.isascii() and len(counts) < _LONGEST


def _covers(counts: "array[float]", width: int, height: int) -> bool:
    return all(count >= 0 and count.is_integer() for count in counts) and sum(counts) == width * height


def _decompressed(text: str) -> Iterator[int]:
    """Yields the run lengths of COCO's compressed text: six bits per character, differences to the last but one.

    Format: `rleFrString` of the COCO API's `maskApi.c`.

    >>> list(_decompressed("05"))
    [0, 5]
    """
    counts: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        yield counts[-1]
        value, shift = 0, 0
