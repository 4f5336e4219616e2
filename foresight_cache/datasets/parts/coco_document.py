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

from foresight_cache.datasets.parts.coco_categories import categories_of, refuse_other_categories, refuse_repeats
from foresight_cache.datasets.parts.coco_ids import KnownIds, has_id, plain_id
from foresight_cache.datasets.parts.coco_keypoints import has_keypoints, keypoints_of_file
from foresight_cache.datasets.parts.coco_layouts import CocoSplit
from foresight_cache.datasets.parts.segmentation import pack_outlines
from foresight_cache.errors import DatasetError
from foresight_cache.records import shown

Captions = Mapping[Hashable, list[Any]]
"""Captions by image id, not checked yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoDocument:
    """Annotation files of one split; their lists are checked, and the entries in these are not yet."""

    path: Path
    images: list[Any]
    categories: Mapping[int, str]
    """Names by id."""
    category_ids: KnownIds
    by_image: Mapping[Hashable, list[dict[str, Any]]]
    """Entries of objects under `annotations` by the id of their image; images without any are missing."""
    strays: Mapping[str, int]
    """Numbers of annotations by the id of an image that is not listed."""
    captions: Captions | None
    """Captions by image; None where there are none of any. Those of images that are not listed are not used."""
    keypoints: Mapping[int, Any]
    """Keypoints by `id()` of the entry that they belong to."""

    @classmethod
    def load(cls, files: CocoSplit) -> Self:
        """Returns the document of a split. Raises `DatasetError`."""
        path = files.annotations
        document = _read(path, ("images", "annotations", "categories"), files.left_out)
        refuse_repeats(path, "image id", (image["id"] for image in document["images"] if has_id(image)))
        images = KnownIds(image["id"] for image in document["images"] if has_id(image))
        captions = _captions(files.captions, document, images)
        by_image, strays = _by_image(document["annotations"], images)
        _refuse_failed_join(path, images, by_image, strays)
        ids = (plain_id(entry.get("id")) for entries in by_image.values() for entry in entries)
        refuse_repeats(path, "annotation id", (number for number in ids if number is not None))
        categories = categories_of(document["categories"], path)
        return cls(
            path=path,
            images=document["images"],
            categories=categories,
            category_ids=KnownIds(categories),
            by_image=by_image,
            strays=strays,
            captions=captions,
            keypoints=_keypoints(files.keypoints, path, categories, by_image, images),
        )


def _read(path: Path, lists: Iterable[str], left_out: Iterable[str] = ()) -> dict[str, list[Any]]:
    try:
        # Outlines are most of the bytes and as lists of numbers would fill the memory: packed at once, they do not.
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_hook=pack_outlines)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}; get the annotation file again") from None
    if isinstance(document, dict):
        document = {key: [] for key in left_out} | document
    for key in lists:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            kind = path.stem.rpartition("_")[0] or "annotation"
            raise DatasetError(f"{path} is not a COCO {kind} file: expected a list under {key!r}")
    return cast(dict[str, list[Any]], document)


def _by_image(entries: list[Any], images: KnownIds) -> tuple[dict[Hashable, list[dict[str, Any]]], Counter[str]]:
    """Returns the objects of each listed image, and how many there are of each image that is not listed."""
    by_image: dict[Hashable, list[dict[str, Any]]] = {}
    strays: Counter[str] = Counter()
    for entry in entries:
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        image = images.find(image_id)
        if image is None:
            strays[shown(image_id)] += 1
        elif not _is_caption(entry):
            by_image.setdefault(image, []).append(entry)
    return by_image, strays


def _refuse_failed_join(path: Path, images: KnownIds, by_image: Mapping[Hashable, Any], strays: Counter[str]) -> None:
    """Raises `DatasetError` where most images get no annotation while there are annotations of no image.

    They would pass for empty scenes. Annotations that are left over in a part of a set take nothing from its images.
    """
    empty = len(images) - len(by_image)
    if strays and 2 * empty > len(images):
        raise DatasetError(
            f"{path}: {strays.total():,} annotations are of an image_id that is not listed under 'images', such as "
            f"{', '.join(list(strays)[:3])}, and {empty:,} of {len(images):,} images have none, which would be taken "
            "for empty; correct the ids"
        )


def _is_caption(entry: Any) -> bool:
    """Returns whether an entry under `annotations` describes its whole image in words."""
    return isinstance(entry, dict) and "caption" in entry and "bbox" not in entry and "category_id" not in entry


def _captions(path: Path | None, document: Mapping[str, list[Any]], images: KnownIds) -> Captions | None:
    """Returns captions of a file of their own and of those among the annotations; None where there are none."""
    own = [entry for entry in document["annotations"] if _is_caption(entry)]
    others = _read(path, ("annotations",))["annotations"] if path and path.is_file() else None
    if others is None and not own:
        return None
    captions: dict[Hashable, list[Any]] = _captions_by_image(own, images)
    others = [entry for entry in others or () if isinstance(entry, dict)]
    by_image = _captions_by_image(others, images)
    if path:
        _refuse_none_joined(path, "captions", others, len(by_image), images)
    for image, texts in by_image.items():  # one that stands in both files is one caption
        known = captions.setdefault(image, [])
        known += [text for text in texts if text not in known] if known else texts
    return captions


def _captions_by_image(entries: Iterable[dict[str, Any]], images: KnownIds) -> dict[Hashable, list[Any]]:
    captions: dict[Hashable, list[Any]] = {}
    for entry in entries:
        if (image := images.find(entry.get("image_id"))) is not None:
            captions.setdefault(image, []).append(entry.get("caption"))
    return captions


def _keypoints(
    path: Path | None,
    instances: Path,
    categories: Mapping[int, str],
    by_image: Mapping[Hashable, Any],
    images: KnownIds,
) -> dict[int, Any]:
    """Returns keypoints of the annotations themselves and of a file of their own."""
    joined = {
        id(entry): entry["keypoints"] for entries in by_image.values() for entry in entries if has_keypoints(entry)
    }
    if path and path.is_file():
        document = _read(path, ("annotations",))
        refuse_other_categories(instances, categories, path, categories_of(document.get("categories") or [], path))
        others = [entry for entry in document["annotations"] if has_keypoints(entry)]
        found = keypoints_of_file(path, others, by_image, images)
        _refuse_none_joined(path, "keypoints", others, len(found), images)
        joined |= found
    return joined


def _refuse_none_joined(path: Path, kind: str, entries: list[dict[str, Any]], joined: int, images: KnownIds) -> None:
    """Raises `DatasetError` where a file has something to say, but of no image that is listed."""
    if entries and images and not joined:
        raise DatasetError(
            f"{path} has {kind} of none of the {len(images):,} images listed, but of others such as image_id "
            f"{shown(entries[0].get('image_id'))}; get the file of this split, or take it away"
        )
