"""UCF101 with its three official divisions into train and test.

    ROOT/ucfTrainTestlist/{classInd,trainlist01,testlist01,…}.txt
    ROOT/UCF-101/<Class>/v_<Class>_g01_c01.avi    (or .mp4, .webm, a folder of frames)

The lists may also lie in ROOT, and the classes in ROOT or in ROOT/videos.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.clip_files import clips_by_stem, one_clip
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.text_files import read_lines
from foresight_cache.errors import BadSample, DatasetError

SPLITS = tuple(f"{part}{number}" for number in (1, 2, 3) for part in ("train", "test"))
_LIST_FOLDERS = ("ucfTrainTestlist", "")
_CLASSES = "classInd.txt"
_CLIP_FOLDERS = ("UCF-101", "videos", "")
_LINE = re.compile(r"([A-Za-z]+)/(v_\w+_g\d+)(_c\d+)\.avi(?:\s+\d+)?")
_LAYOUT = "expected ROOT/ucfTrainTestlist/{classInd,trainlist01,testlist01,…}.txt and ROOT/UCF-101/<Class>/<clip>.avi"


class Reader:
    """Reader of the dataset family `ucf101`. Sample ids are `<name>/<split>/<clip>`.

    Splits are `train1`, `test1`, `train2`, …. Clips cut from one recording, `g01` and so on of a class, are one group.
    """

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the splits that have a list. Raises `DatasetError` where there is none."""
        splits = tuple(self._lists())
        if not splits:
            raise DatasetError(f"{self._root} is not a UCF101 folder: it has no lists of train and test; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in the order of the list. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        path = self._lists()[split]
        classes = self._classes()
        clips_of: dict[str, dict[str, list[Path]]] = {}
        seen: set[str] = set()
        for number, line in enumerate(map(str.strip, read_lines(path)), start=1):
            if not line:
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise DatasetError(f"{path}, line {number}: {line[:80]!a} names no clip; get the file again")
            if line in seen:
                raise DatasetError(f"{path}, line {number}: {line!r} is there more than once; mend the file")
            seen.add(line)
            yield self._sample(match, split, classes, clips_of)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "clip", samples, listed=True, follow_links=self._rules.follow_links)

    def _sample(
        self, line: re.Match[str], split: str, classes: dict[str, int], clips_of: dict[str, dict[str, list[Path]]]
    ) -> ListedSample:
        """Returns the sample of a line; `clips_of` keeps what lies in each class folder, by stem."""
        kind, recording, stem = line[1], line[2], line[2] + line[3]
        sample_id = f"{self._name}/{split}/{stem}"
        folder = self._clip_folder() / kind
        if kind not in clips_of:
            clips_of[kind] = clips_by_stem(folder) if folder.is_dir() else {}
        try:
            if kind not in classes:
                raise BadSample(f"its class {kind!r} is not in classInd.txt")
            clip = one_clip(stem, clips_of[kind].get(stem, []), folder, self._rules.follow_links)
        except BadSample as error:
            return broken_sample(sample_id, error, next(iter(clips_of[kind].get(stem, ())), None), classes=(kind,))
        action: dict[str, Any] = {
            "label": kind,
            "template": kind,
            "class": kind,
            "class_id": classes[kind],
            "direction": None,
            "placeholders": [],
        }
        group = f"{self._name}/{recording}"
        return unmeasured_sample(
            sample_id,
            self._root,
            clip,
            "clip",
            {"action": action},
            group=group,
            rules=self._rules,
            gaps=self._rules.gaps(),
        )

    def _lists(self) -> dict[str, Path]:
        """Returns the lists that are there, by split."""
        paths = {split: self._list_file(f"{split[:-1]}list0{split[-1]}.txt") for split in SPLITS}
        return {split: path for split, path in paths.items() if path}

    def _list_file(self, name: str) -> Path | None:
        return next((path for folder in _LIST_FOLDERS if (path := self._root / folder / name).is_file()), None)

    def _clip_folder(self) -> Path:
        return next(self._root / name for name in _CLIP_FOLDERS if (self._root / name).is_dir())

    def _classes(self) -> dict[str, int]:
        """Returns the numbers of the classes, from 0, by name. Raises `DatasetError`."""
        path = self._list_file(_CLASSES)
        if path is None:
            missing = self._root / _LIST_FOLDERS[0] / _CLASSES
            raise DatasetError(f"{self._root} has no list of the classes: there is no {missing}; {_LAYOUT}")
        classes = {}
        for number, line in enumerate(read_lines(path), start=1):
            words = line.split()
            if words and (len(words) != 2 or not words[0].isdecimal() or int(words[0]) < 1 or words[1] in classes):
                raise DatasetError(
                    f"{path}, line {number}: expected a number and a class, each once; get the file again"
                )
            if words:
                classes[words[1]] = int(words[0]) - 1
        return classes
