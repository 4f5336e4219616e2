"""Checks entries of a COCO document and turns them into a sample's size, objects and captions."""

from collections.abc import Hashable
from typing import Any

from foresight_cache.datasets.parts import segmentation
from foresight_cache.datasets.parts.coco_document import Captions, CocoDocument, has_id
from foresight_cache.errors import BadSample
from foresight_cache.records import is_text, shown

_ROUNDING = 1.0
"""Pixels by which a box may stand out of its image and is cut to it; published boxes are rounded that way."""
_LARGEST = 1e9
"""No coordinate or size is larger. What is compared with it is a number: NaN is not below it, nor is infinity."""


def image_size(image: Any) -> tuple[int, int]:
    """Returns width and height that an entry under `images` says. Raises `BadSample`."""
    if not has_id(image):
        raise BadSample("the entry under 'images' has no integer or text under 'id'")
    for key in ("width", "height"):
        if type(image.get(key)) is not int or not 0 < image[key] < _LARGEST:
            raise BadSample(f"the entry under 'images' has {key} {shown(image.get(key))}, expected a positive integer")
    return image["width"], image["height"]


def captions_of(image_id: Hashable, captions: Captions) -> list[str]:
    """Returns the captions of an image. Raises `BadSample`."""
    texts = captions.get(image_id, [])
    for text in texts:
        if not is_text(text) or not text.strip():
            raise BadSample(f"it has a caption {shown(text)}, expected a text")
    return [text.strip() for text in texts]


def objects_of(image_id: Hashable, document: CocoDocument, width: int, height: int) -> list[dict[str, Any]]:
    """Returns the objects of an image of this size as `Sample.annotations` has them. Raises `BadSample`."""
    return [_object(entry, document, width, height) for entry in document.by_image.get(image_id, ())]


def _object(entry: dict[str, Any], document: CocoDocument, width: int, height: int) -> dict[str, Any]:
    number, category, categories = entry.get("id"), entry.get("category_id"), document.categories
    if type(number) is not int:
        raise BadSample(f"an annotation has id {shown(number)}, expected an integer")
    if type(category) is not int or category not in categories:
        raise BadSample(f"annotation {number} has category_id {shown(category)}, which is not under 'categories'")
    box = _box(entry.get("bbox"), f"annotation {number}", width, height)
    crowd, area = entry.get("iscrowd", 0), entry.get("area", (box[2] - box[0]) * (box[3] - box[1]))
    if crowd not in (0, 1):
        raise BadSample(f"annotation {number} has iscrowd {shown(crowd)}, expected 0 or 1")
    if not _is_number(area) or area < 0:
        raise BadSample(f"annotation {number} has area {shown(area)}, expected a number of pixels")
    return {
        "box": box,
        "category": categories[category],
        "category_id": category,
        "crowd": bool(crowd),
        "area": float(area),
        "annotation_id": number,
        **_shape(entry, document, f"annotation {number}", width, height),
    }


def _shape(entry: dict[str, Any], document: CocoDocument, owner: str, width: int, height: int) -> dict[str, Any]:
    """Returns mask and keypoints, where there are any. Raises `BadSample`."""
    shape: dict[str, Any] = {}
    if mask := segmentation.run_lengths(entry.get("segmentation"), owner, width, height):
        shape["segmentation"] = mask
    if (keypoints := document.keypoints.get((entry["image_id"], entry["id"]))) is not None:
        if not (isinstance(keypoints, list) and len(keypoints) % 3 == 0 and all(map(_is_number, keypoints))):
            raise BadSample(f"{owner} has keypoints {shown(keypoints)}, expected three numbers for each")
        if not all(visibility in (0, 1, 2) for visibility in keypoints[2::3]):
            raise BadSample(f"{owner} has keypoints {shown(keypoints)}, whose visibilities are not all 0, 1 or 2")
        shape["keypoints"] = keypoints
    return shape


def _box(published: Any, owner: str, width: int, height: int) -> list[float]:
    """Returns the corners of a box that is published as corner and size.

    >>> _box([10, 20, 30, 40], "annotation 1", width=640, height=480)
    [10.0, 20.0, 40.0, 60.0]
    >>> _box([600.5, 0, 40.2, 480], "annotation 1", width=640, height=480)
    [600.5, 0.0, 640.0, 480.0]
    """
    if not (isinstance(published, list) and len(published) == 4 and all(map(_is_number, published))):
        raise BadSample(f"{owner} has bbox {shown(published)}, expected four numbers [x, y, width, height]")
    x, y, box_width, box_height = map(float, published)
    if box_width < 0 or box_height < 0:
        raise BadSample(f"{owner} has bbox {published}, whose width or height is negative")
    right, bottom = x + box_width, y + box_height
    if min(x, y) < -_ROUNDING or right > width + _ROUNDING or bottom > height + _ROUNDING:
        raise BadSample(f"{owner} has bbox {published}, which lies outside its image of {width}×{height} pixels")
    cut_x, cut_y = (min(max(value, 0.0), float(most)) for value, most in ((x, width), (y, height)))
    return [cut_x, cut_y, min(max(right, 0.0), float(width)), min(max(bottom, 0.0), float(height))]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST
