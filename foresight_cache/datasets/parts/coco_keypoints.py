"""Finds the annotation that each entry with keypoints belongs to, in the same file or in another.

Tools that write one file per task number the entries of each from 1 on, so that a number alone joins nothing: category
and box, where both sides have them, must be those of the annotation.
"""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.datasets.parts.coco_boxes import is_box
from foresight_cache.datasets.parts.coco_ids import KnownIds, plain_id
from foresight_cache.errors import DatasetError
from foresight_cache.records import shown

Entries = Mapping[Hashable, list[dict[str, Any]]]
"""Entries under `annotations` by the id of their image."""
_SAME = 0.01
"""Share of the largest coordinate by which two boxes may differ and are one, as some tools round."""


def has_keypoints(entry: Any) -> bool:
    """Returns whether an entry has at least one keypoint; COCO lists every person, most of them without any."""
    return isinstance(entry, dict) and bool(entry.get("keypoints")) and entry.get("num_keypoints") != 0


def keypoints_of_file(path: Path, entries: Iterable[Any], by_image: Entries, images: KnownIds) -> dict[int, Any]:
    """Returns the keypoints of a file of their own, by `id()` of the annotation's entry.

    An entry belongs to the annotation of its number, or to the only one of its category and box. Raises `DatasetError`
    where some belong to none.
    """
    joined: dict[int, Any] = {}
    astray: list[dict[str, Any]] = []
    listed = 0
    for entry in entries:
        if not has_keypoints(entry):
            continue
        image = images.find(entry.get("image_id"))
        if image is None:  # of an image that this split does not have
            continue
        listed += 1
        annotation = _annotation_of(entry, by_image.get(image, []))
        if annotation is None or id(annotation) in joined:
            astray.append(entry)
        else:
            joined[id(annotation)] = entry["keypoints"]
            _refuse_other_keypoints(path, annotation, entry["keypoints"])
    if astray:
        places = ", ".join(f"id {shown(entry.get('id'))} of image {shown(entry['image_id'])}" for entry in astray[:3])
        raise DatasetError(
            f"{path} has keypoints of {listed:,} objects, {len(astray):,} of which are no annotation of their image by "
            f"number, category and box, such as {places}; give both files the same ids, or take the file away"
        )
    return joined


def _refuse_other_keypoints(path: Path, annotation: dict[str, Any], keypoints: Any) -> None:
    if has_keypoints(annotation) and annotation["keypoints"] != keypoints:
        raise DatasetError(
            f"{path} has keypoints {shown(keypoints)} of annotation {shown(annotation.get('id'))}, which itself has "
            f"{shown(annotation['keypoints'])}; take one of them away"
        )


def _annotation_of(entry: dict[str, Any], annotations: list[dict[str, Any]]) -> dict[str, Any] | None:
    number = plain_id(entry.get("id"))
    own = [each for each in annotations if plain_id(each.get("id")) == number and number is not None]
    if own and _same_category(entry, own[0]) is not False and _same_box(entry, own[0]) is not False:
        return own[0]
    same = [each for each in annotations if _same_category(entry, each) and _same_box(entry, each)]
    return same[0] if len(same) == 1 else None


def _same_category(one: dict[str, Any], other: dict[str, Any]) -> bool | None:
    """Returns whether two entries are of one category; None where one of them says none."""
    categories = plain_id(one.get("category_id")), plain_id(other.get("category_id"))
    return None if None in categories else categories[0] == categories[1]


def _same_box(one: dict[str, Any], other: dict[str, Any]) -> bool | None:
    """Returns whether two entries have one box; None where one of them has none."""
    mine, theirs = one.get("bbox"), other.get("bbox")
    if not (is_box(mine) and is_box(theirs)):
        return None
    most = _SAME * max(map(abs, [*mine, *theirs]))
    return all(abs(first - second) <= most for first, second in zip(mine, theirs, strict=True))
