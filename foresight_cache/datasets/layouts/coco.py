"""Any folder in COCO format, whatever its categories.

ROOT/annotations/instances_<split>.json
ROOT/annotations/captions_<split>.json, person_keypoints_<split>.json    read too where they are
ROOT/<split>/<file_name>    or    ROOT/images/<split>/<file_name>    or    ROOT/images/<file_name>

Exports of other tools are read as they are: `parts/coco_layouts.py` has the table.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from foresight_cache.datasets import DEFAULT_RULES, BoxForm, BrokenSample, FolderRules, ListedSample, RawSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.coco_boxes import BoxTally
from foresight_cache.datasets.parts.coco_categories import Categories, peek_categories, refuse_other_categories
from foresight_cache.datasets.parts.coco_document import CocoDocument
from foresight_cache.datasets.parts.coco_ids import has_id
from foresight_cache.datasets.parts.coco_layouts import CocoSplit, find_splits
from foresight_cache.datasets.parts.coco_objects import captions_of, image_size, objects_of
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.safe_paths import name_below, path_inside, stem
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError
from foresight_cache.records import is_text
from foresight_cache.samples import Sample


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
        self._form: BoxForm | None = None
        self._categories: dict[Path, Categories] = {}
        self._remarks: dict[str, tuple[str, ...]] = {}

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have an annotation file. Raises `DatasetError` where there is none."""
        return tuple(self._splits)

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the JSON's images. Raises `DatasetError`."""
        files = self._files(split)
        folder = files.images
        document = CocoDocument.load(files)
        self._compare_categories(document)
        prefix = f"{self._name}/{split}"
        listed = [_renamed(image, files) for image in document.images]
        ids = [_sample_id(image, index, prefix) for index, image in enumerate(listed)]
        _refuse_shared_ids(document.images, ids, document.path)
        entries = zip(listed, ids, strict=True)
        images = [_image(entry, folder, sample_id, self._rules) for entry, sample_id in entries]
        self._remarks[split] = (*_tell_strays(document), *self._check_boxes(document, images))
        for image, sample_id in zip(images, ids, strict=True):
            yield self._sample(image, sample_id, split, document)

    def read_boxes_as(self, form: BoxForm) -> None:
        """Takes boxes to be of this form, whatever area and outline say of them."""
        self._form = form

    def remarks(self) -> tuple[str, ...]:
        """Returns sentences on what contradicts itself in the splits read so far, but does not forbid to use them."""
        return tuple(remark for remarks in self._remarks.values() for remark in remarks)

    @cached_property
    def _splits(self) -> dict[str, CocoSplit]:
        return find_splits(self._root)

    def _files(self, split: str) -> CocoSplit:
        """Returns the files of a split. Raises `DatasetError` where it is not there."""
        if split in self._splits:
            return self._splits[split]
        file = next(iter(self._splits.values())).annotations
        missing = f": there is no {file.with_name(f'instances_{split}.json')}" if "instances_" in file.name else ""
        raise DatasetError(f"{self._root} has no split {split!r}{missing}; splits there: {', '.join(self._splits)}")

    def _compare_categories(self, document: CocoDocument) -> None:
        """Raises `DatasetError` where another split, asked for or not, numbers the categories in another way."""
        for path in (files.annotations for files in self._splits.values()):
            if path not in self._categories:
                self._categories[path] = document.categories if path == document.path else peek_categories(path)
            (first, known), (second, others) = sorted(
                ((path, self._categories[path]), (document.path, document.categories)), key=lambda pair: pair[0]
            )
            refuse_other_categories(first, known, second, others)

    def _check_boxes(self, document: CocoDocument, images: "Sequence[_Image | BrokenSample]") -> tuple[str, ...]:
        """Returns what is to be said of boxes that contradict their annotation. Raises `DatasetError`."""
        if self._form is not None:
            return ()
        tally = BoxTally()
        for image in images:
            if isinstance(image, _Image):
                for entry in document.by_image.get(image.id, ()):
                    tally.add(entry, image.width, image.height)
        remark = tally.check(document.path)
        return (remark,) if remark else ()

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "image", samples, listed=True, follow_links=self._rules.follow_links)

    def _sample(
        self, image: "_Image | BrokenSample", sample_id: str, split: str, document: CocoDocument
    ) -> ListedSample:
        if isinstance(image, BrokenSample):
            return image
        try:
            objects = objects_of(image.id, document, image.width, image.height, self._form or "xywh")
            annotations: dict[str, Any] = {"objects": objects}
            if document.captions is not None:
                annotations["captions"] = captions_of(image.id, document.captions)
        except BadSample as error:
            return _broken(sample_id, error, image.path)
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="image",
            file_name=name_below(self._root, image.path),
            width=image.width,
            height=image.height,
            annotations=annotations,
        )
        return RawSample(sample=sample, path=image.path)


class _Image(NamedTuple):
    """Sound entry under `images`."""

    id: Hashable
    path: Path
    width: int
    height: int


def _renamed(entry: Any, files: CocoSplit) -> Any:
    """Returns an entry under `images` with the name of its file below the folder of images."""
    name = entry.get("file_name") if isinstance(entry, dict) else None
    return {**entry, "file_name": files.name_below(name)} if files.own_folder_in_names and is_text(name) else entry


def _image(entry: Any, folder: Path, sample_id: str, rules: FolderRules) -> _Image | BrokenSample:
    """Returns an entry under `images` with its path and size, or the sample to report where it is not sound."""
    name = entry.get("file_name") if isinstance(entry, dict) else None
    try:
        if not has_id(entry):
            raise BadSample("the entry under 'images' has no integer or text under 'id'")
        path = path_inside(folder, name, "the entry under 'images'", follow_links=rules.follow_links)
        return _Image(entry["id"], path, *image_size(entry, path))
    except BadSample as error:
        listed = folder / name if is_text(name) and not Path(name).is_absolute() else None
        return _broken(sample_id, error, listed)


def _broken(sample_id: str, error: BadSample, path: Path | None) -> BrokenSample:
    return BrokenSample(id=sample_id, reason=str(error), absent=isinstance(error, AbsentFiles), path=path)


def _tell_strays(document: CocoDocument) -> tuple[str, ...]:
    """Returns what is to be said of annotations that are of no image of the split."""
    if not document.strays:
        return ()
    count, ids = sum(document.strays.values()), ", ".join(list(document.strays)[:3])
    return (f"{document.path.name}: {count:,} annotations are of images that it does not list, such as {ids}",)


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


def _refuse_shared_ids(images: list[Any], ids: list[str], path: Path) -> None:
    names: dict[str, list[str]] = {}
    for image, sample_id in zip(images, ids, strict=True):
        names.setdefault(sample_id, []).append(str(image.get("file_name")) if isinstance(image, dict) else "")
    shared = {sample_id: listed for sample_id, listed in names.items() if len(listed) > 1}
    repeated = [sample_id for sample_id, listed in shared.items() if len(set(listed)) < len(listed)]
    if repeated:
        raise DatasetError(
            f"{path} lists one file more than once: {', '.join(repeated[:5])}; which entry's annotations are meant is "
            "unknown (Label Studio writes one for each annotator), so keep one of them"
        )
    if shared:
        raise DatasetError(
            f"{path} lists several files for one sample: {', '.join(list(shared)[:5])}; "
            "file names of a split must differ in more than their suffix"
        )
