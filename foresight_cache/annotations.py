"""The schema of annotations, one for all datasets, checked when samples are packed and when they are read.

`docs/cache_format.md` § Sample says the same in words. Coordinates are pixels of the original media, origin at the
upper left corner, continuous: a box over the first pixel alone is `[0, 0, 1, 1]`.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from foresight_cache.errors import BadSample
from foresight_cache.records import is_text, shown

_LARGEST = 1e15
"""No number is larger. What is compared with it is a number: NaN is not below it, nor is infinity."""
_Check = Callable[[Any, "_Frame"], str | None]
_Fields = Mapping[str, Callable[[Any], bool]]
_Frame = tuple[int, int]
"""Width and height of the media in pixels."""


def check_annotations(annotations: Mapping[str, Any], *, width: int, height: int) -> None:
    """Raises `BadSample` where annotations of media of this size are not of the schema, naming the field."""
    for kind, value in annotations.items():
        if kind not in _KINDS:
            raise BadSample(f"annotations have the kind {shown(kind)}, expected some of {', '.join(_KINDS)}")
        if problem := _KINDS[kind](value, (width, height)):
            raise BadSample(f"annotations.{kind}{problem}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_box(box: Any, frame: _Frame) -> bool:
    if type(box) is not list or len(box) != 4 or not all(map(_is_number, box)):
        return False
    return bool(0 <= box[0] <= box[2] <= frame[0] and 0 <= box[1] <= box[3] <= frame[1])


def _fields(
    value: Any, needed: Mapping[str, Callable[[Any], bool]], optional: Mapping[str, Callable[[Any], bool]]
) -> str:
    """Returns a phrase for what is wrong with an object's fields, or an empty text."""
    if not isinstance(value, dict):
        return f" is {shown(value)}, expected an object"
    for name, check in needed.items():
        if name not in value:
            return f" has no {name!r}"
        if not check(value[name]):
            return f".{name} is {shown(value[name])}, which is not as the schema says"
    for name in value.keys() - needed.keys():
        if name not in optional:
            return f" has the field {shown(name)}, which the schema does not know"
        if not optional[name](value[name]):
            return f".{name} is {shown(value[name])}, which is not as the schema says"
    return ""


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_keypoints(value: Any) -> bool:
    """Triples x, y, visibility (0 not labelled, 1 hidden, 2 visible), as COCO has them."""
    if not isinstance(value, list) or len(value) % 3 or not all(map(_is_number, value)):
        return False
    return all(visibility in (0, 1, 2) for visibility in value[2::3])


_OBJECT: dict[str, Callable[[Any], bool]] = {
    "category": is_text,
    "category_id": lambda value: type(value) is int and abs(value) < _LARGEST,
    "crowd": _is_flag,
    "area": lambda value: _is_number(value) and value >= 0,
    "annotation_id": lambda value: is_text(value) or (type(value) is int and abs(value) < _LARGEST),
}


def _objects(value: Any, frame: _Frame) -> str | None:
    if not isinstance(value, list):
        return f" is {shown(value)}, expected a list"

    def is_mask(mask: Any) -> bool:
        if not isinstance(mask, dict) or mask.keys() != {"size", "counts"}:
            return False
        return bool(mask["size"] == [frame[1], frame[0]] and is_text(mask["counts"]) and mask["counts"].isascii())

    needed = {"box": lambda box: _is_box(box, frame), **_OBJECT}
    optional = {"segmentation": is_mask, "keypoints": _is_keypoints}
    problems = (_fields(thing, needed, optional) for thing in value)
    return next((f"[{n}]{problem}" for n, problem in enumerate(problems) if problem), None)


def _captions(value: Any, _frame: _Frame) -> str | None:
    return None if _list_of(is_text)(value) else f" is {shown(value)}, expected a list of texts"


def _scene(value: Any, _frame: _Frame) -> str | None:
    return None if is_text(value) else f" is {shown(value)}, expected a text"


def _class(value: Any, _frame: _Frame) -> str | None:
    return _fields(value, {"name": is_text, "id": _is_count}, {}) or None


def _labels(value: Any, _frame: _Frame) -> str | None:
    def is_classes(classes: Any) -> bool:
        if isinstance(classes, dict):
            return classes.keys() == {"count"} and _is_byte(classes["count"])
        return _list_of(is_text)(classes) and 0 < len(classes) <= 255

    return _fields(value, {"classes": is_classes, "ignore": _or_none(_is_byte)}, {}) or None


def _is_byte(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


def _action(value: Any, _frame: _Frame) -> str | None:
    needed: dict[str, Callable[[Any], bool]] = {
        "label": is_text,
        "template": is_text,
        "class": is_text,
        "class_id": _is_count,
        "direction": _or_none(is_text),
        "placeholders": _list_of(is_text),
    }
    return _fields(value, needed, {}) or None


def _motion(value: Any, _frame: _Frame) -> str | None:
    if problem := _fields(value, {"objects": lambda objects: isinstance(objects, list)}, {}):
        return problem
    needed: dict[str, Callable[[Any], bool]] = {
        "positions": lambda points: _list_of(_is_point)(points) and bool(points),
        "velocity": _is_point,
        "speed": lambda speed: _is_number(speed) and speed >= 0,
        "direction": _or_none(is_text),
        "category": is_text,
    }
    problems = (
        f".objects[{n}]{problem}" for n, track in enumerate(value["objects"]) if (problem := _fields(track, needed, {}))
    )
    return next(problems, None)


def _tracks(value: Any, frame: _Frame) -> str | None:
    def is_numbers(numbers: Any) -> bool:
        return _list_of(_is_count)(numbers) and all(one < other for one, other in pairwise(numbers))

    needed: dict[str, Callable[[Any], bool]] = {
        "frames_per_second": lambda rate: _is_number(rate) and rate > 0,
        "frames": is_numbers,
        "objects": lambda objects: isinstance(objects, list),
    }
    if problem := _fields(value, needed, {}):
        return problem
    boxes = _list_of(_or_none(lambda box: _is_box(box, frame)))
    of_object: dict[str, Callable[[Any], bool]] = {
        **{"category": is_text, "category_id": _OBJECT["category_id"], "annotation_id": _OBJECT["annotation_id"]},
        "boxes": lambda own: boxes(own) and len(own) == len(value["frames"]),
    }
    problems = (
        f".objects[{n}]{problem}"
        for n, track in enumerate(value["objects"])
        if (problem := _fields(track, of_object, {"name": is_text}))
    )
    return next(problems, None)


def _tags(value: Any, _frame: _Frame) -> str | None:
    texts = isinstance(value, dict) and all(is_text(name) and is_text(text) for name, text in value.items())
    return None if texts else f" is {shown(value)}, expected a text for each tag"


def _qa(value: Any, _frame: _Frame) -> str | None:
    needed: dict[str, Callable[[Any], bool]] = {
        "question": is_text,
        "answer": _or_none(is_text),
        "hallucinated": _or_none(_is_flag),
    }
    return _fields(value, needed, {"references": _list_of(is_text), "type": is_text, "source": is_text}) or None


_KINDS: dict[str, _Check] = {
    "objects": _objects,
    "captions": _captions,
    "scene": _scene,
    "class": _class,
    "labels": _labels,
    "action": _action,
    "motion": _motion,
    "tracks": _tracks,
    "tags": _tags,
    "qa": _qa,
}

ANNOTATION_KINDS = tuple(_KINDS)
"""Kinds of annotation that a sample can carry, each a key of `Sample.annotations`."""
