"""Any folder in COCO format, whatever its categories.

ROOT/annotations/instances_<split>.json
ROOT/annotations/captions_<split>.json, person_keypoints_<split>.json    read too where they are
ROOT/<split>/<file_name>    or    ROOT/images/<split>/<file_name>
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample, RawSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.coco_document import CocoDocument
from foresight_cache.datasets.parts.coco_objects import captions_of, image_size, objects_of
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.safe_paths import name_below, path_inside, stem
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text
from foresight_cache.samples import Sample, is_safe_name

_LAYOUT = "expected ROOT/annotations/instances_<split>.json, and images in ROOT/<split> or ROOT/images/<split>"


class Reader:
    """Reader of the dataset family `coco`. Sample ids are `<name>/<split>/<file name without suffix>`.

    Boxes become `[x0, y0, x1, y1]` in pixels. A box of no width or height stays as it is published (COCO's own
    training set has two); a negative one, one outside its image, or one of a category that is not listed makes
    its whole sample a `BrokenSample`, since an image with an object left out would be a wrong example.
    """

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have an annotation file. Raises `DatasetError` where there is none."""
        folder = self._root / "annotations"
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; {_LAYOUT}")
        files = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        matches = [re.fullmatch(r"instances_(.+)\.json", file) for file in files]
        splits = tuple(match[1] for match in matches if match and is_safe_name(match[1]))
        if not splits:
            missing = folder / "instances_*.json"
            raise DatasetError(f"{self._root} is not a folder in COCO format: there is no {missing}; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the JSON's images. Raises `DatasetError`."""
        splits = self.splits()
        if split not in splits:
            file = self._root / "annotations" / f"instances_{split}.json"
            raise DatasetError(
                f"{self._root} has no split {split!r}: there is no {file}; splits there: {', '.join(splits)}"
            )
        folder = self._image_folder(split)
        document = CocoDocument.load(self._root / "annotations", split)
        prefix = f"{self._name}/{split}"
        ids = [_sample_id(image, index, prefix) for index, image in enumerate(document.images)]
        _refuse_shared_ids(ids, document.path)
        for image, sample_id in zip(document.images, ids, strict=True):
            yield self._sample(image, sample_id, split, folder, document)
        for image_id, count in document.strays.items():
            reason = f"{count} annotations are of an image_id {image_id} that is not listed under 'images'"
            yield BrokenSample(id=f"{prefix}/image_id {image_id}", reason=reason)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "image", samples, listed=True, follow_links=self._rules.follow_links)

    def _image_folder(self, split: str) -> Path:
        folders = (self._root / split, self._root / "images" / split)
        for folder in folders:
            if folder.is_dir():
                return folder
        missing = " and no ".join(map(str, folders))
        raise DatasetError(f"the images of split {split!r} are missing: there is no folder {missing}")

    def _sample(self, image: Any, sample_id: str, split: str, folder: Path, document: CocoDocument) -> ListedSample:
        path: Path | None
        try:
            width, height = image_size(image)
            path = path_inside(
                folder, image.get("file_name"), "the entry under 'images'", follow_links=self._rules.follow_links
            )
            annotations: dict[str, Any] = {"objects": objects_of(image["id"], document, width, height)}
            if document.captions is not None:
                annotations["captions"] = captions_of(image["id"], document.captions)
        except BadSample as error:
            name = image.get("file_name") if isinstance(image, dict) else None
            path = folder / name if is_text(name) and not Path(name).is_absolute() else None
            return BrokenSample(id=sample_id, reason=str(error), path=path)
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="image",
            file_name=name_below(self._root, path),
            width=width,
            height=height,
            annotations=annotations,
        )
        return RawSample(sample=sample, path=path)


def _sample_id(image: Any, index: int, prefix: str) -> str:
    """Returns the id of an entry under `images`.

    >>> _sample_id({"file_name": "COCO_val2014_000000000042.jpg"}, 0, "coco/val2014")
    'coco/val2014/COCO_val2014_000000000042'
    >>> _sample_id({}, 3, "coco/val2014")
    'coco/val2014/images[3]'
    """
    name = image.get("file_name") if isinstance(image, dict) else None
    if not is_text(name) or not Path(name).stem:
        return f"{prefix}/images[{index}]"
    return f"{prefix}/{stem(name)}"


def _refuse_shared_ids(ids: list[str], path: Path) -> None:
    shared = [sample_id for sample_id, times in Counter(ids).items() if times > 1]
    if shared:
        raise DatasetError(
            f"{path} lists several files for one sample: {', '.join(shared[:5])}; "
            "file names of a split must differ in more than their suffix"
        )
