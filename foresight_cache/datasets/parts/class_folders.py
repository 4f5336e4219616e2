"""The walk through folders per split and per class that the readers of image and of video folders share.

    ROOT/train/<class>/<file>      splits: train, training, val, valid, validation, test, eval, in any case
    ROOT/<class>/<file>            one split, `all`
    ROOT/<file>                    one split, no classes

A folder below a class folder belongs to the class.
"""

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

from foresight_cache.datasets import BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.class_folder_doubts import check_class_folders, check_split_folders
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.file_kinds import SPLITS, composed, is_hidden, split_name
from foresight_cache.datasets.parts.folder_walk import WalkedFolder, walk
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text
from foresight_cache.samples import Media

ALL = "all"
"""Name of the only split of a folder that has none."""


class _WalkedSplit(NamedTuple):
    """Paths below the folder of a split: media, links to files, and links to folders that are not followed."""

    names: list[str]
    links: set[str]
    linked_folders: list[str]


class ClassFolders(ABC):
    """Reader of such folders; a layout says which files are samples. Ids are `<name>/<split>/<path without suffix>`.

    Where that would be one id for several files, the suffix stays. The split is called by its name in lower case,
    whatever that of its folder is. Classes are numbered once, in order of name over all splits: a number means the same
    class in each of them, whichever are asked for.
    """

    media: ClassVar[Media]
    kind: ClassVar[str]
    """Plural of what the folder holds, for errors."""

    def __init__(self, name: str, root: Path, rules: FolderRules = FolderRules()) -> None:  # noqa: B008 - frozen
        self._name = name
        self._root = root
        self._rules = rules
        self._gaps = rules.gaps("even")
        self._walked_splits: dict[str, _WalkedSplit] = {}

    @abstractmethod
    def media_names(self, folder: WalkedFolder) -> list[str]:
        """Returns the names of the media in a folder; takes from its `folders` what is not to be walked.

        An empty name is the folder itself, a clip.
        """

    @staticmethod
    def stem(name: str) -> str:
        """Returns a path without its suffix."""
        return name.rpartition(".")[0]

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a folder, or `all`.

        Raises `DatasetError` without a folder, and where the folders are nearly called like splits.
        """
        if not self._root.is_dir():
            raise DatasetError(
                f"there is no folder {self._root}; expected {self.kind}, in folders per class or without"
            )
        return tuple(self._split_folders) or (ALL,)

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in order of path. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        folder = self._folder(split)
        walked = self._walked(split)
        if not self._rules.accepts("wrapping"):
            check_class_folders(folder, walked.names, self._rules)
        yield from self._samples(split, folder, sorted(walked.names, key=_by_part), walked.links)
        for name in sorted(walked.linked_folders, key=_by_part):
            yield BrokenSample(
                id=ascii(f"{self._name}/{split}/{name}")[1:-1],
                reason=f"{name!a} is a link to a folder, which is not followed; name the folder that it leads to with "
                "--follow-links, or put the folder itself there",
                path=folder / name,
            )

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:
        """Counts every file below the root by what becomes of it, where these samples of these splits are listed."""
        folders = self._split_folders
        unasked = {folder for split, folder in folders.items() if split not in set(splits)}
        return take_inventory(
            self._root,
            self.media,
            samples,
            listed=False,
            other_splits=unasked,
            entered=set(folders.values()),
            follow_links=self._rules.follow_links,
        )

    @cached_property
    def _split_folders(self) -> dict[str, str]:
        """The names of the folders of splits, by split in the order of `SPLITS`. Raises `DatasetError`."""
        if self._rules.accepts("split-names"):
            return {}
        top = next(walk(self._root))
        names = sorted(name for name in (*top.folders, *top.linked_folders) if not is_hidden(name))
        folders: dict[str, str] = {}
        for name in names:
            split = split_name(name)
            if split in folders:
                raise DatasetError(
                    f"{self._root} holds two folders of the split {split!r}, {folders[split]} and {name}; make them one"
                )
            if split:
                folders[split] = name
        if not folders:
            check_split_folders(self._root, names)
        return {split: folders[split] for split in SPLITS if split in folders}

    def _samples(self, split: str, folder: Path, names: list[str], links: set[str]) -> Iterator[ListedSample]:
        class_ids = self._class_ids
        stems = Counter(map(self.stem, names))
        for name in names:
            stem = self.stem(name)
            sample_id = f"{self._name}/{split}/{stem if stems[stem] == 1 else name}"
            yield self._sample(sample_id, folder, name, class_ids, linked=name in links)

    def _folder(self, split: str) -> Path:
        return self._root / self._split_folders.get(split, "")

    def _walked(self, split: str) -> _WalkedSplit:
        """Returns what the folder of a split holds; each is walked once, as the numbers of classes need all of them."""
        if split not in self._walked_splits:
            held = self._walked_splits[split] = _WalkedSplit([], set(), [])
            for walked in walk(self._folder(split), follow_links=self._rules.follow_links):
                walked.folders[:] = [name for name in walked.folders if not is_hidden(name)]
                held.linked_folders.extend(
                    f"{walked.prefix}{name}" for name in walked.linked_folders if not is_hidden(name)
                )
                held.names.extend(f"{walked.prefix}{name}".removesuffix(os.sep) for name in self.media_names(walked))
                held.links.update(f"{walked.prefix}{name}" for name in walked.links)
        return self._walked_splits[split]

    @cached_property
    def _class_ids(self) -> Mapping[str, int]:
        """Number of each class, from 0, over all splits."""
        names = (name for split in self.splits() for name in self._walked(split).names)
        classes = sorted({composed(name.partition(os.sep)[0]) for name in names if os.sep in name})
        return {class_name: number for number, class_name in enumerate(classes)}

    def _sample(
        self, sample_id: str, folder: Path, name: str, class_ids: Mapping[str, int], *, linked: bool
    ) -> ListedSample:
        path = folder / name
        try:
            if not is_text(name):
                raise BadSample(f"its file name {name!a} is not UTF-8; rename the file")
            if linked:  # folders on the way that are links were walked only where they may be
                check_stays_inside(path.parent, path, repr(name), (folder, *self._rules.follow_links))
        except BadSample as error:
            return broken_sample(sample_id, error, path)
        class_name = composed(name.partition(os.sep)[0]) if os.sep in name else None
        annotations = {"class": {"name": class_name, "id": class_ids[class_name]}} if class_name else {}
        return unmeasured_sample(
            sample_id,
            self._root,
            path,
            self.media,
            annotations,
            file_name=name if folder == self._root else f"{folder.name}/{name}",
            rules=self._rules,
            gaps=self._gaps,
        )


def _by_part(name: str) -> str:
    return name.replace(os.sep, "\0")  # orders names as paths are ordered: a folder before what only starts like it
