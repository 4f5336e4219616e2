"""Any folder in COCO format, whatever its categories.

    ROOT/annotations/instances_<split>.json
    ROOT/annotations/captions_<split>.json, person_keypoints_<split>.json    taken along where they are
    ROOT/<split>/<file_name>    or    ROOT/images/<split>/<file_name>

The JSON is read plainly: pycocotools prints while it reads, and of two images with one id it keeps the last in
silence. The tests compare the result with pycocotools.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts import segmentation
from foresight_cache.datasets.parts.safe_paths import inside, is_text, shown, stem
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.samples import Sample, is_safe_name

_LAYOUT = "expected ROOT/annotations/instances_<split>.json, and images in ROOT/<split> or ROOT/images/<split>"
_ROUNDING = 1.0
"""Pixels by which a box may stand out of its image and is cut to it; published boxes are rounded that way."""
_LARGEST = 1e9
"""No coordinate or size is larger. What is compared with it is a number: NaN is not below it, nor is infinity."""


class Reader:
    """The dataset family `coco`. Sample ids are `<name>/<split>/<file name without suffix>`.

    Boxes become `[x0, y0, x1, y1]` in pixels. A box of no width or height stays as it is published (COCO's own
    training set has two); a negative one, one outside its image, or one of a category that is not listed makes
    its whole sample `Broken`, since an image with an object left out would be a wrong example.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def splits(self) -> tuple[str, ...]:
        """Splits that have an annotation file. Raises `DatasetError` where there is none."""
        folder = self._root / "annotations"
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; {_LAYOUT}")
        files = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        matches = [re.fullmatch(r"instances_(.+)\.json", file) for file in files]
        splits = tuple(match[1] for match in matches if match and is_safe_name(match[1]))
        if not splits:
            missing = folder / "instances_*.json"
            raise DatasetError(f"{self._root} is no folder in COCO format: there is no {missing}; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In the order of the JSON's images. Raises `DatasetError`."""
        splits = self.splits()
        if split not in splits:
            file = self._root / "annotations" / f"instances_{split}.json"
            raise DatasetError(
                f"{self._root} has no split {split!r}: there is no {file}; splits there: {', '.join(splits)}"
            )
        images = self._image_folder(split)
        annotations = _Annotations.load(self._root / "annotations", split)
        prefix = f"{self._name}/{split}"
        _refuse_shared_ids(annotations, prefix)
        for index, image in enumerate(annotations.images):
            yield self._record(image, index, split, images, annotations)
        for image_id, count in annotations.strays.items():
            reason = f"{count} annotations are of an image_id {image_id} that is not listed under 'images'"
            yield BrokenSample(id=f"{prefix}/image_id {image_id}", reason=reason)

    def _image_folder(self, split: str) -> Path:
        folders = (self._root / split, self._root / "images" / split)
        for folder in folders:
            if folder.is_dir():
                return folder
        missing = " and no ".join(map(str, folders))
        raise DatasetError(f"the images of split {split!r} are missing: there is no folder {missing}")

    def _record(
        self, image: Any, index: int, split: str, folder: Path, annotations: "_Annotations"
    ) -> RawSample | BrokenSample:
        sample_id = _sample_id(image, index, f"{self._name}/{split}")
        try:
            width, height = _size(image)
            path = inside(folder, image.get("file_name"), "the entry under 'images'")
            kinds: dict[str, Any] = {
                "objects": [_object(each, annotations, width, height) for each in annotations.of(image["id"])]
            }
            if annotations.captions is not None:
                kinds["captions"] = _texts(annotations.captions.get(image["id"], []))
        except BadSample as error:
            return BrokenSample(id=sample_id, reason=str(error))
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="image",
            file_name=os.fspath(path)[len(os.fspath(self._root)) :].lstrip(os.sep),
            width=width,
            height=height,
            annotations=kinds,
        )
        return RawSample(sample=sample, path=path)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Annotations:
    """An annotation file, its parts known to be what they should be but their entries not yet."""

    place: str
    images: list[Any]
    categories: Mapping[int, str]
    by_image: Mapping[Hashable, list[dict[str, Any]]]
    strays: Mapping[str, int]
    """Numbers of annotations by the image that they name and that is not listed."""
    captions: Mapping[Hashable, list[Any]] | None
    """Texts by image; None where there is no file of them. Those of images that are not listed are not used."""
    keypoints: Mapping[tuple[Hashable, Hashable], Any]
    """By image and annotation."""

    @classmethod
    def load(cls, folder: Path, split: str) -> "_Annotations":
        """Raises `DatasetError`."""
        path = folder / f"instances_{split}.json"
        document = _document(path, ("images", "annotations", "categories"))
        listed = {image["id"] for image in document["images"] if _has_id(image)}
        by_image: dict[Hashable, list[dict[str, Any]]] = {}
        strays: Counter[str] = Counter()
        for annotation in document["annotations"]:
            image_id = annotation.get("image_id") if isinstance(annotation, dict) else None
            if isinstance(image_id, int | str) and image_id in listed:
                by_image.setdefault(image_id, []).append(annotation)
            else:
                strays[shown(image_id)] += 1
        ids = (annotation.get("id") for annotations in by_image.values() for annotation in annotations)
        _refuse_repeats(path, "annotation id", (each for each in ids if isinstance(each, int | str)))
        _refuse_repeats(path, "image id", (image["id"] for image in document["images"] if _has_id(image)))
        return cls(
            place=str(path),
            images=document["images"],
            categories=_categories(document["categories"], path),
            by_image=by_image,
            strays=strays,
            captions=_captions(folder / f"captions_{split}.json"),
            keypoints=_keypoints(folder / f"person_keypoints_{split}.json"),
        )

    def of(self, image_id: Hashable) -> list[dict[str, Any]]:
        return self.by_image.get(image_id, [])


def _document(path: Path, lists: Iterable[str]) -> dict[str, list[Any]]:
    try:
        # Outlines are most of the bytes and as lists of numbers would fill the memory: packed at once, they do not.
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_hook=segmentation.pack)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}; get the annotation file again") from None
    for key in lists:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            kind = path.name.rsplit("_", 1)[0]
            raise DatasetError(f"{path} is not a COCO {kind} file: expected a list under {key!r}")
    return cast(dict[str, list[Any]], document)


def _captions(path: Path) -> dict[Hashable, list[Any]] | None:
    if not path.is_file():
        return None
    captions: dict[Hashable, list[Any]] = {}
    for entry in _document(path, ("annotations",))["annotations"]:
        if isinstance(entry, dict) and isinstance(entry.get("image_id"), int | str):
            captions.setdefault(entry["image_id"], []).append(entry.get("caption"))
    return captions


def _texts(captions: list[Any]) -> list[str]:
    for caption in captions:
        if not is_text(caption) or not caption.strip():
            raise BadSample(f"it has a caption {shown(caption)}, expected a text")
    return [caption.strip() for caption in captions]


def _keypoints(path: Path) -> dict[tuple[Hashable, Hashable], Any]:
    if not path.is_file():
        return {}
    return {
        (entry["image_id"], entry["id"]): entry["keypoints"]
        for entry in _document(path, ("annotations",))["annotations"]
        if isinstance(entry, dict) and _is_labelled(entry)
    }


def _is_labelled(entry: dict[str, Any]) -> bool:
    """Whether an entry has at least one keypoint; COCO lists every person, most of them without any."""
    known = all(isinstance(entry.get(key), int | str) for key in ("image_id", "id"))
    return known and "keypoints" in entry and entry.get("num_keypoints") != 0


def _categories(entries: list[Any], path: Path) -> dict[int, str]:
    for entry in entries:
        if not (isinstance(entry, dict) and type(entry.get("id")) is int and is_text(entry.get("name"))):
            raise DatasetError(f"{path} has a category {shown(entry)}; expected an integer 'id' and a text 'name'")
    _refuse_repeats(path, "category id", (entry["id"] for entry in entries))
    return {entry["id"]: entry["name"] for entry in entries}


def _refuse_repeats(path: Path, kind: str, values: Iterable[Hashable]) -> None:
    repeated = [value for value, times in Counter(values).items() if times > 1]
    if repeated:
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        raise DatasetError(
            f"{path} uses the same {kind} more than once: {', '.join(map(shown, repeated[:5]))}{more}; "
            "which entry is meant cannot be told, so mend the file"
        )


def _refuse_shared_ids(annotations: _Annotations, prefix: str) -> None:
    ids = (_sample_id(image, index, prefix) for index, image in enumerate(annotations.images))
    shared = [each for each, times in Counter(ids).items() if times > 1]
    if shared:
        raise DatasetError(
            f"{annotations.place} lists several files for one sample: {', '.join(shared[:5])}; "
            "file names of a split must differ in more than their suffix"
        )


def _has_id(image: Any) -> bool:
    return isinstance(image, dict) and isinstance(image.get("id"), int | str)


def _sample_id(image: Any, index: int, prefix: str) -> str:
    """
    >>> _sample_id({"file_name": "COCO_val2014_000000000042.jpg"}, 0, "coco/val2014")
    'coco/val2014/COCO_val2014_000000000042'
    >>> _sample_id({}, 3, "coco/val2014")
    'coco/val2014/images[3]'
    """
    name = image.get("file_name") if isinstance(image, dict) else None
    if not is_text(name) or not Path(name).stem:
        return f"{prefix}/images[{index}]"
    return f"{prefix}/{stem(name)}"


def _size(image: Any) -> tuple[int, int]:
    """Width and height as the annotations have them."""
    if not _has_id(image):
        raise BadSample("the entry under 'images' has no integer or text under 'id'")
    for key in ("width", "height"):
        if type(image.get(key)) is not int or not 0 < image[key] < _LARGEST:
            raise BadSample(f"the entry under 'images' has {key} {shown(image.get(key))}, expected a positive integer")
    return image["width"], image["height"]


def _object(annotation: dict[str, Any], annotations: _Annotations, width: int, height: int) -> dict[str, Any]:
    """One object as `Sample.annotations` has it. Raises `BadSample`."""
    number, category, categories = annotation.get("id"), annotation.get("category_id"), annotations.categories
    if type(number) is not int:
        raise BadSample(f"an annotation has id {shown(number)}, expected an integer")
    if type(category) is not int or category not in categories:
        raise BadSample(f"annotation {number} has category_id {shown(category)}, which is not under 'categories'")
    box = _box(annotation.get("bbox"), f"annotation {number}", width, height)
    crowd, area = annotation.get("iscrowd", 0), annotation.get("area", (box[2] - box[0]) * (box[3] - box[1]))
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
        **_shape(annotation, annotations, f"annotation {number}", width, height),
    }


def _shape(annotation: dict[str, Any], annotations: _Annotations, who: str, width: int, height: int) -> dict[str, Any]:
    """Mask and keypoints, where there are any. Raises `BadSample`."""
    shape: dict[str, Any] = {}
    if mask := segmentation.run_lengths(annotation.get("segmentation"), who, width, height):
        shape["segmentation"] = mask
    if (keypoints := annotations.keypoints.get((annotation["image_id"], annotation["id"]))) is not None:
        if not (isinstance(keypoints, list) and len(keypoints) % 3 == 0 and all(map(_is_number, keypoints))):
            raise BadSample(f"{who} has keypoints {shown(keypoints)}, expected three numbers for each")
        if not all(visibility in (0, 1, 2) for visibility in keypoints[2::3]):
            raise BadSample(f"{who} has keypoints {shown(keypoints)}, whose visibilities are not all 0, 1 or 2")
        shape["keypoints"] = keypoints
    return shape


def _box(published: Any, who: str, width: int, height: int) -> list[float]:
    """Corners of a box that is published as corner and size.

    >>> _box([10, 20, 30, 40], "annotation 1", width=640, height=480)
    [10.0, 20.0, 40.0, 60.0]
    >>> _box([600.5, 0, 40.2, 480], "annotation 1", width=640, height=480)
    [600.5, 0.0, 640.0, 480.0]
    """
    if not (isinstance(published, list) and len(published) == 4 and all(map(_is_number, published))):
        raise BadSample(f"{who} has bbox {shown(published)}, expected four numbers [x, y, width, height]")
    x, y, wide, high = map(float, published)
    if wide < 0 or high < 0:
        raise BadSample(f"{who} has bbox {published}, whose width or height is negative")
    right, bottom = x + wide, y + high
    if min(x, y) < -_ROUNDING or right > width + _ROUNDING or bottom > height + _ROUNDING:
        raise BadSample(f"{who} has bbox {published}, which lies outside its image of {width}×{height} pixels")
    cut_x, cut_y = (min(max(value, 0.0), float(most)) for value, most in ((x, width), (y, height)))
    return [cut_x, cut_y, min(max(right, 0.0), float(width)), min(max(bottom, 0.0), float(height))]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST
