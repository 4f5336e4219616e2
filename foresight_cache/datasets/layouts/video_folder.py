"""Any folder of clips, in folders per split and per class, per class alone, or without either.

    ROOT/train/<class>/<clip>      splits: train, training, val, valid, validation, test, eval
    ROOT/<class>/<clip>            one split, `all`
    ROOT/<clip>                    one split, no classes

A clip is a video file, or a folder that holds image files, one per frame. Other files are passed over.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.clip_files import VIDEO_SUFFIXES, is_folder_of_frames
from foresight_cache.datasets.parts.safe_paths import check_stays, is_text
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.samples import Sample

_SPLITS = ("train", "training", "val", "valid", "validation", "test", "eval")
_ALL = "all"
"""The split of a folder that has none."""


class Reader:
    """The dataset family `video_folder`. Sample ids are `<name>/<split>/<path without suffix>`.

    Where that would be one id for several files, the suffix stays.
    """

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def splits(self) -> tuple[str, ...]:
        """Raises `DatasetError` where there is no folder."""
        if not self._root.is_dir():
            raise DatasetError(f"there is no folder {self._root}; expected clips, in folders per class or without")
        return tuple(split for split in _SPLITS if (self._root / split).is_dir()) or (_ALL,)

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In order of path. Raises `DatasetError`."""
        if split not in (splits := self.splits()):
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(splits)}")
        folder = self._root if split == _ALL else self._root / split
        clips, linked = _walk(folder)
        classes = sorted({path.relative_to(folder).parts[0] for path in clips if path.parent != folder})
        stems = Counter(_without_suffix(path) for path in clips)
        for path in clips:
            inner = path.relative_to(folder)
            name = _without_suffix(inner) if stems[_without_suffix(path)] == 1 else inner
            sample_id = f"{self._name}/{split}/{name.as_posix()}"
            yield self._record(path, folder, sample_id, split, classes)
        for path in linked:
            name = path.relative_to(folder)
            yield BrokenSample(
                id=ascii(f"{self._name}/{split}/{name.as_posix()}")[1:-1],
                reason=f"{name.as_posix()!a} is a link to a folder, which is not followed; put the folder itself there",
            )

    def _record(
        self, path: Path, folder: Path, sample_id: str, split: str, classes: list[str]
    ) -> RawSample | BrokenSample:
        inner = path.relative_to(folder)
        try:
            if not is_text(str(inner)):
                raise BadSample(f"its file name {str(inner)!a} is not UTF-8; rename the file")
            check_stays(folder, path, repr(inner.as_posix()))
        except BadSample as error:
            return BrokenSample(id=ascii(sample_id)[1:-1], reason=str(error))
        kind = inner.parts[0] if len(inner.parts) > 1 else None
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="clip",
            file_name=path.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            annotations={"class": {"name": kind, "id": classes.index(kind)}} if kind else {},
        )
        return RawSample(sample=sample, path=path)


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Clips below a folder in order of path, and links to folders, which are not followed."""
    clips: list[Path] = []
    linked: list[Path] = []
    for place, folders, files in os.walk(root):
        linked += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        if Path(place) != root and is_folder_of_frames(Path(place)):
            clips.append(Path(place))
            folders.clear()
            continue
        clips += [Path(place, name) for name in files if name.lower().endswith(VIDEO_SUFFIXES) and name[0] != "."]
    return sorted(clips), sorted(linked)


def _without_suffix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES else path
