"""The walk through folders per split and per class that the readers of image and of video folders share.

    ROOT/train/<class>/<file>      splits: train, training, val, valid, validation, test, eval
    ROOT/<class>/<file>            one split, `all`
    ROOT/<file>                    one split, no classes

A folder below a class folder belongs to the class.
"""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from foresight_cache.datasets import BrokenSample, ListedSample
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text
from foresight_cache.samples import Media

SPLITS = ("train", "training", "val", "valid", "validation", "test", "eval")
ALL = "all"
"""Name of the only split of a folder that has none."""


class ClassFolders(ABC):
    """Reader of such folders; a layout says which files are samples. Ids are `<name>/<split>/<path without suffix>`.

    Where that would be one id for several files, the suffix stays.
    """

    media: ClassVar[Media]
    kind: ClassVar[str]
    """Plural of what the folder holds, for errors."""

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    @abstractmethod
    def media_names(self, folder: Path) -> tuple[list[str], list[str]]:
        """Returns paths below a folder: of its media, and of links to folders, which are not followed."""

    @staticmethod
    def stem(name: str) -> str:
        """Returns a path without its suffix."""
        return name.rpartition(".")[0]

    def splits(self) -> tuple[str, ...]:
        """Returns the folders that are called like a split, or `all`. Raises `DatasetError` without a folder."""
        if not self._root.is_dir():
            raise DatasetError(
                f"there is no folder {self._root}; expected {self.kind}, in folders per class or without"
            )
        return tuple(split for split in SPLITS if (self._root / split).is_dir()) or (ALL,)

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in order of path. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        folder = self._root if split == ALL else self._root / split
        listed, linked = self.media_names(folder)
        names = sorted(listed, key=_by_part)
        classes = sorted({name.partition(os.sep)[0] for name in names if os.sep in name})
        class_ids = {class_name: number for number, class_name in enumerate(classes)}
        stems = Counter(map(self.stem, names))
        for name in names:
            stem = self.stem(name)
            sample_id = f"{self._name}/{split}/{stem if stems[stem] == 1 else name}"
            yield self._sample(sample_id, folder, name, class_ids)
        for name in sorted(linked, key=_by_part):
            yield BrokenSample(
                id=ascii(f"{self._name}/{split}/{name}")[1:-1],
                reason=f"{name!a} is a link to a folder, which is not followed; put the folder itself there",
            )

    def _sample(self, sample_id: str, folder: Path, name: str, class_ids: Mapping[str, int]) -> ListedSample:
        path = folder / name
        try:
            if not is_text(name):
                raise BadSample(f"its file name {name!a} is not UTF-8; rename the file")
            check_stays_inside(folder, path, repr(name))
        except BadSample as error:
            return broken_sample(sample_id, error)
        class_name = name.partition(os.sep)[0] if os.sep in name else None
        annotations = {"class": {"name": class_name, "id": class_ids[class_name]}} if class_name else {}
        return unmeasured_sample(sample_id, self._root, path, self.media, annotations)


def walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields each folder below a root as a prefix of paths below it, with the names of its folders and files.

    Folders that the caller removes from the list are not walked.
    """
    for folder, folders, files in os.walk(root):
        yield "" if folder == str(root) else f"{os.path.relpath(folder, root)}{os.sep}", folders, files


def _by_part(name: str) -> str:
    return name.replace(os.sep, "\0")  # orders names as paths are ordered: a folder before what only starts like it
