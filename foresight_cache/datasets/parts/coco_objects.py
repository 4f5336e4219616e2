"""Checks entries of a COCO document and turns them into a sample's size, objects and captions."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from foresight_cache.datasets import BoxForm
from foresight_cache.datasets.parts import segmentation
from foresight_cache.datasets.parts.coco_boxes import corners, is_number
from foresight_cache.datasets.parts.coco_document import Captions, CocoDocument
from foresight_cache.datasets.parts.coco_ids import plain_id
from foresight_cache.errors import AbsentFiles, BadSample
from foresight_cache.media import images
from foresight_cache.records import is_text, shown

_LARGEST = 1e9
"""No image is wider or higher in pixels."""


def image_size(image: dict[str, Any], path: Path) -> tuple[int, int]:
    """Returns width and height of an entry under `images`: as it says, else as the image's header does.

    Raises `BadSample`, and `AbsentFiles` where only the image could tell and is not there.
    """
    sizes = [_side(image, key) for key in ("width", "height")]
    if sizes[0] and sizes[1]:
        return sizes[0], sizes[1]
    try:
        height, width = images.image_size(path.read_bytes())
    except FileNotFoundError:
        raise AbsentFiles(f"there is no {path.name} in {path.parent}, which alone could tell its size") from None
    except OSError as error:
        raise BadSample(f"{path.name} cannot be read: {error.strerror}") from None
    return width, height


def _side(image: dict[str, Any], key: str) -> int | None:
    """Returns a side in pixels; None where it is left out, for which tools write null and 0 as well."""
    value = image.get(key)
    if value is None or (type(value) in (int, float) and value == 0):
        return None
    if not (type(value) is int or (type(value) is float and value.is_integer())) or not 0 < value < _LARGEST:
        raise BadSample(f"the entry under 'images' has {key} {shown(value)}, expected a positive integer")
    return int(value)


def captions_of(image_id: Hashable, captions: Captions) -> list[str]:
    """Returns the captions of an image. Raises `BadSample`."""
    texts = captions.get(image_id, [])
    for text in texts:
        if not is_text(text) or not text.strip():
            raise BadSample(f"it has a caption {shown(text)}, expected a text")
    return [text.strip() for text in texts]


def objects_of(
    image_id: Hashable, document: CocoDocument, width: int, height: int, form: BoxForm = "xywh"
) -> list[dict[str, Any]]:
    """Returns the objects of an image of this size as `Sample.annotations` has them. Raises `BadSample`."""
    entries = document.by_image.get(image_id, ())
    return [_object(entry, document, width, height, form) for entry in entries if not _is_placeholder(entry)]


def _object(entry: dict[str, Any], document: CocoDocument, width: int, height: int, form: BoxForm) -> dict[str, Any]:
    number, category = plain_id(entry.get("id")), document.category_ids.find(entry.get("category_id"))
    if number is None:
        raise BadSample(f"an annotation has id {shown(entry.get('id'))}, expected an integer or a text")
    owner = f"annotation {number}" if isinstance(number, int) else f"annotation {shown(number)}"
    if not isinstance(category, int):
        raise BadSample(f"{owner} has category_id {shown(entry.get('category_id'))}, which is not under 'categories'")
    if not entry.get("bbox") and not segmentation.is_empty(entry.get("segmentation")):
        mask = segmentation.run_lengths(entry["segmentation"], owner, width, height)
        box = _outline_box(entry["segmentation"], mask, width, height)
    else:
        box, mask = corners(entry.get("bbox"), owner, width, height, form), None
    crowd, area = _or_default(entry, "iscrowd", 0), _or_default(entry, "area", (box[2] - box[0]) * (box[3] - box[1]))
    if crowd not in (0, 1):
        raise BadSample(f"{owner} has iscrowd {shown(crowd)}, expected 0 or 1")
    if not is_number(area) or area < 0:
        raise BadSample(f"{owner} has area {shown(area)}, expected a number of pixels")
    if form == "fraction" and 0 < area <= 1:
        area *= width * height
    mask = mask or segmentation.run_lengths(entry.get("segmentation"), owner, width, height)
    return {
        "box": box,
        "category": document.categories[category],
        "category_id": category,
        "crowd": bool(crowd),
        "area": float(area),
        "annotation_id": number,
        **({"segmentation": mask} if mask else {}),
        **_keypoints(entry, document, owner),
    }


def _is_placeholder(entry: dict[str, Any]) -> bool:
    """Returns whether an entry only says that its image has no object, as some tools write it."""
    return (
        entry.get("bbox") == []
        and not entry.get("area")
        and segmentation.is_empty(entry.get("segmentation"))
        and not entry.get("keypoints")
    )


def _or_default(entry: dict[str, Any], key: str, default: Any) -> Any:
    """Returns a value, or the default where the key is missing or null."""
    value = entry.get(key)
    return default if value is None else value


def _outline_box(outline: Any, mask: dict[str, Any] | None, width: int, height: int) -> list[float]:
    """Returns the corners of the box around an outline, cut to its image."""
    if (around := segmentation.extents(outline)) is None:
        return segmentation.box_of(mask or {})
    return [min(max(value, 0.0), float(most)) for value, most in zip(around, (width, height) * 2, strict=True)]


def _keypoints(entry: dict[str, Any], document: CocoDocument, owner: str) -> dict[str, Any]:
    """Returns the keypoints of an annotation, where there are any. Raises `BadSample`."""
    if (keypoints := document.keypoints.get(id(entry))) is None:
        return {}
    if not (isinstance(keypoints, list) and len(keypoints) % 3 == 0 and all(map(is_number, keypoints))):
        raise BadSample(f"{owner} has keypoints {shown(keypoints)}, expected three numbers for each")
    if not all(visibility in (0, 1, 2) for visibility in keypoints[2::3]):
        raise BadSample(f"{owner} has keypoints {shown(keypoints)}, whose visibilities are not all 0, 1 or 2")
    return {"keypoints": keypoints}
