"""Any folder of images, in folders per split and per class, per class alone, or without either.

    ROOT/train/<class>/<image>      splits: train, training, val, valid, validation, test, eval
    ROOT/<class>/<image>            one split, `all`
    ROOT/<image>                    one split, no classes

A folder below a class folder belongs to the class. Files that are no images are passed over.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.safe_paths import check_stays, is_text
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.samples import Sample

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = ("train", "training", "val", "valid", "validation", "test", "eval")
ALL = "all"
"""The split of a folder that has none."""


class Reader:
    """The dataset family `image_folder`. Sample ids are `<name>/<split>/<path without suffix>`.

    Where that would be one id for several files, the suffix stays.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def splits(self) -> tuple[str, ...]:
        """Raises `DatasetError` where there is no folder."""
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; expected images, in folders per class or without")
        return tuple(split for split in SPLITS if (self._root / split).is_dir()) or (ALL,)

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In order of path. Raises `DatasetError`."""
        if split not in (splits := self.splits()):
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(splits)}")
        folder = self._root if split == ALL else self._root / split
        names, linked = _walk(folder)
        classes = sorted({name.partition(os.sep)[0] for name in names if os.sep in name})
        stems = Counter(_stem(name) for name in names)
        numbers = {name: number for number, name in enumerate(classes)}
        inner = "" if split == ALL else f"{split}{os.sep}"
        for name in names:
            unique = _stem(name) if stems[_stem(name)] == 1 else name
            yield self._record(folder, name, f"{self._name}/{split}/{unique}", split, f"{inner}{name}", numbers)
        for name in linked:
            yield BrokenSample(
                id=ascii(f"{self._name}/{split}/{name}")[1:-1],
                reason=f"{name!a} is a link to a folder, which is not followed; put the folder itself there",
            )

    def _record(
        self, folder: Path, name: str, sample_id: str, split: str, file_name: str, classes: dict[str, int]
    ) -> RawSample | BrokenSample:
        path = folder / name
        try:
            if not is_text(name):
                raise BadSample(f"its file name {name!a} is not UTF-8; rename the file")
            check_stays(folder, path, repr(name))
        except BadSample as error:
            return BrokenSample(id=ascii(sample_id)[1:-1], reason=str(error))
        kind = name.partition(os.sep)[0] if os.sep in name else None
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="image",
            file_name=file_name,
            width=0,
            height=0,
            annotations={"class": {"name": kind, "id": classes[kind]}} if kind else {},
        )
        return RawSample(sample=sample, path=path)


def _walk(folder: Path) -> tuple[list[str], list[str]]:
    """Names of image files below a folder in order of path, and of links to folders, which are not followed."""
    images: list[str] = []
    linked: list[str] = []
    for place, folders, files in os.walk(folder):
        inner = "" if place == str(folder) else f"{os.path.relpath(place, folder)}{os.sep}"
        linked += [inner + name for name in folders if Path(place, name).is_symlink()]
        images += [inner + name for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(images, key=_by_part), sorted(linked, key=_by_part)


def _by_part(name: str) -> str:
    return name.replace(os.sep, "\0")  # orders names as paths are ordered: a folder before what only starts like it


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
