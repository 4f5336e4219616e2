"""Loads the annotation files of one split in COCO format: entries by image, categories, captions and keypoints.

The JSON is read plainly: pycocotools prints while it reads, and of two images with one id it keeps the last in
silence. The tests compare the result with pycocotools.
"""

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from foresight_cache.datasets.parts.segmentation import pack_outlines
from foresight_cache.errors import DatasetError
from foresight_cache.records import is_text, shown

Captions = Mapping[Hashable, list[Any]]
"""Captions by image id, not checked yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoDocument:
    """Annotation files of one split; their lists are checked, and the entries in these are not yet."""

    path: Path
    images: list[Any]
    categories: Mapping[int, str]
    """Names by id."""
    by_image: Mapping[Hashable, list[dict[str, Any]]]
    """Entries under `annotations` by the id of their image; images without any are missing."""
    strays: Mapping[str, int]
    """Numbers of annotations by the id of an image that is not listed."""
    captions: Captions | None
    """Captions by image; None where there is no file of them. Those of images that are not listed are not used."""
    keypoints: Mapping[tuple[Hashable, Hashable], Any]
    """Keypoints by the ids of image and annotation."""

    @classmethod
    def load(cls, folder: Path, split: str) -> Self:
        """Returns the document of a split. Raises `DatasetError`."""
        path = folder / f"instances_{split}.json"
        document = _read(path, ("images", "annotations", "categories"))
        by_image, strays = _by_image(document)
        ids = (entry.get("id") for entries in by_image.values() for entry in entries)
        _refuse_repeats(path, "annotation id", (number for number in ids if isinstance(number, int | str)))
        _refuse_repeats(path, "image id", (image["id"] for image in document["images"] if has_id(image)))
        return cls(
            path=path,
            images=document["images"],
            categories=_categories(document["categories"], path),
            by_image=by_image,
            strays=strays,
            captions=_captions(folder / f"captions_{split}.json"),
            keypoints=_keypoints(folder / f"person_keypoints_{split}.json"),
        )


def has_id(image: Any) -> bool:
    """Returns whether an entry under `images` has an id that annotations can refer to."""
    return isinstance(image, dict) and isinstance(image.get("id"), int | str)


def _read(path: Path, lists: Iterable[str]) -> dict[str, list[Any]]:
    try:
        # Outlines are most of the bytes and as lists of numbers would fill the memory: packed at once, they do not.
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_hook=pack_outlines)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}; get the annotation file again") from None
    for key in lists:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            kind = path.name.rsplit("_", 1)[0]
            raise DatasetError(f"{path} is not a COCO {kind} file: expected a list under {key!r}")
    return cast(dict[str, list[Any]], document)


def _by_image(document: Mapping[str, list[Any]]) -> tuple[dict[Hashable, list[dict[str, Any]]], Counter[str]]:
    """Returns the annotations of each listed image, and how many there are of each image that is not listed."""
    listed = {image["id"] for image in document["images"] if has_id(image)}
    by_image: dict[Hashable, list[dict[str, Any]]] = {}
    strays: Counter[str] = Counter()
    for entry in document["annotations"]:
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        if isinstance(image_id, int | str) and image_id in listed:
            by_image.setdefault(image_id, []).append(entry)
        else:
            strays[shown(image_id)] += 1
    return by_image, strays


def _categories(entries: list[Any], path: Path) -> dict[int, str]:
    for entry in entries:
        if not (isinstance(entry, dict) and type(entry.get("id")) is int and is_text(entry.get("name"))):
            raise DatasetError(f"{path} has a category {shown(entry)}; expected an integer 'id' and a text 'name'")
    _refuse_repeats(path, "category id", (entry["id"] for entry in entries))
    return {entry["id"]: entry["name"] for entry in entries}


def _captions(path: Path) -> Captions | None:
    if not path.is_file():
        return None
    captions: dict[Hashable, list[Any]] = {}
    for entry in _read(path, ("annotations",))["annotations"]:
        if isinstance(entry, dict) and isinstance(entry.get("image_id"), int | str):
            captions.setdefault(entry["image_id"], []).append(entry.get("caption"))
    return captions


def _keypoints(path: Path) -> dict[tuple[Hashable, Hashable], Any]:
    if not path.is_file():
        return {}
    return {
        (entry["image_id"], entry["id"]): entry["keypoints"]
        for entry in _read(path, ("annotations",))["annotations"]
        if isinstance(entry, dict) and _has_keypoints(entry)
    }


def _has_keypoints(entry: dict[str, Any]) -> bool:
    """Returns whether an entry has at least one keypoint; COCO lists every person, most of them without any."""
    known = all(isinstance(entry.get(key), int | str) for key in ("image_id", "id"))
    return known and "keypoints" in entry and entry.get("num_keypoints") != 0


def _refuse_repeats(path: Path, kind: str, values: Iterable[Hashable]) -> None:
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated:
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        raise DatasetError(
            f"{path} uses the same {kind} more than once: {', '.join(map(shown, repeated[:5]))}{more}; "
            "which entry is meant is unknown; mend the file"
        )
