"""UCF101 with its three official divisions into train and test.

    ROOT/ucfTrainTestlist/{classInd,trainlist01,testlist01,…}.txt
    ROOT/UCF-101/<Class>/v_<Class>_g01_c01.avi    (or .mp4, .webm, a folder of frames)

The lists may also lie in ROOT, and the classes in ROOT or in ROOT/videos.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.clip_files import clips_by_stem, one_clip
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError
from foresight_cache.samples import Sample

SPLITS = tuple(f"{part}{number}" for number in (1, 2, 3) for part in ("train", "test"))
_LIST_FOLDERS = ("ucfTrainTestlist", "")
_CLIP_FOLDERS = ("UCF-101", "videos", "")
_LINE = re.compile(r"([A-Za-z]+)/(v_\w+_g\d+)(_c\d+)\.avi(?:\s+\d+)?")
_LAYOUT = "expected ROOT/ucfTrainTestlist/{classInd,trainlist01,testlist01,…}.txt and ROOT/UCF-101/<Class>/<clip>.avi"


class Reader:
    """The dataset family `ucf101`. Sample ids are `<name>/<split>/<clip>`, splits `train1`, `test1`, `train2`, ….

    Clips that were cut from one recording, `g01` and so on of a class, are one group.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def splits(self) -> tuple[str, ...]:
        """Raises `DatasetError` where there are no lists."""
        splits = tuple(split for split in SPLITS if self._list(split))
        if not splits:
            raise DatasetError(f"{self._root} is no UCF101 folder: it has no lists of train and test; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In the order of the list. Raises `DatasetError`."""
        path = self._list(split) if split in SPLITS else None
        if path is None:
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(self.splits())}")
        classes = self._classes()
        folders: dict[str, dict[str, list[Path]]] = {}
        seen: set[str] = set()
        for number, line in enumerate(_lines(path), start=1):
            if not line:
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                raise DatasetError(f"{path}, line {number}: {line[:80]!a} names no clip; get the file again")
            if line in seen:
                raise DatasetError(f"{path}, line {number}: {line!r} is there more than once; mend the file")
            seen.add(line)
            yield self._record(match, split, classes, folders)

    def _record(
        self, line: re.Match[str], split: str, classes: dict[str, int], folders: dict[str, dict[str, list[Path]]]
    ) -> RawSample | BrokenSample:
        kind, recording, stem = line[1], line[2], line[2] + line[3]
        sample_id = f"{self._name}/{split}/{stem}"
        folder = self._clip_folder() / kind
        if kind not in folders:
            folders[kind] = clips_by_stem(folder) if folder.is_dir() else {}
        try:
            if kind not in classes:
                raise BadSample(f"its class {kind!r} is not in classInd.txt")
            clip = one_clip(stem, folders[kind].get(stem, []), folder)
        except BadSample as error:
            return BrokenSample(id=sample_id, reason=str(error), absent=isinstance(error, AbsentFiles))
        action: dict[str, Any] = {
            "label": kind,
            "template": kind,
            "class": kind,
            "class_id": classes[kind],
            "direction": None,
            "placeholders": [],
        }
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=f"{self._name}/{recording}",
            media="clip",
            file_name=clip.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            annotations={"action": action},
        )
        return RawSample(sample=sample, path=clip)

    def _list(self, split: str) -> Path | None:
        name = f"{split[:-1]}list0{split[-1]}.txt"
        return next((path for folder in _LIST_FOLDERS if (path := self._root / folder / name).is_file()), None)

    def _clip_folder(self) -> Path:
        return next(self._root / name for name in _CLIP_FOLDERS if (self._root / name).is_dir())

    def _classes(self) -> dict[str, int]:
        """Numbers of the classes, from 0. Raises `DatasetError`."""
        places = [self._root / folder / "classInd.txt" for folder in _LIST_FOLDERS]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise DatasetError(f"{self._root} has no list of the classes: there is no {places[0]}; {_LAYOUT}")
        classes = {}
        for number, line in enumerate(_lines(path), start=1):
            words = line.split()
            if words and (len(words) != 2 or not words[0].isdecimal() or int(words[0]) < 1 or words[1] in classes):
                raise DatasetError(
                    f"{path}, line {number}: expected a number and a class, each once; get the file again"
                )
            if words:
                classes[words[1]] = int(words[0]) - 1
        return classes


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}); get the file again") from None
