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

from foresight_cache.datasets import Broken, Found
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.inside import check_stays, is_text
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

    def samples(self, split: str) -> Iterator[Found | Broken]:
        """In order of path. Raises `DatasetError`."""
        if split not in (splits := self.splits()):
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(splits)}")
        folder = self._root if split == ALL else self._root / split
        paths, linked = _walk(folder)
        classes = sorted({path.relative_to(folder).parts[0] for path in paths if path.parent != folder})
        stems = Counter(path.with_suffix("") for path in paths)
        numbers = {name: number for number, name in enumerate(classes)}
        for path in paths:
            inner = path.relative_to(folder)
            name = (inner.with_suffix("") if stems[path.with_suffix("")] == 1 else inner).as_posix()
            yield self._record(path, folder, f"{self._name}/{split}/{name}", split, numbers)
        for path in linked:
            name = path.relative_to(folder).as_posix()
            yield Broken(
                id=ascii(f"{self._name}/{split}/{name}")[1:-1],
                reason=f"{name!a} is a link to a folder, which is not followed; put the folder itself there",
            )

    def _record(self, path: Path, folder: Path, sample_id: str, split: str, classes: dict[str, int]) -> Found | Broken:
        inner = path.relative_to(folder)
        try:
            if not is_text(str(inner)):
                raise BadSample(f"its file name {str(inner)!a} is not UTF-8; rename the file")
            check_stays(folder, path, repr(inner.as_posix()))
        except BadSample as error:
            return Broken(id=ascii(sample_id)[1:-1], reason=str(error))
        kind = inner.parts[0] if len(inner.parts) > 1 else None
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="image",
            file_name=path.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            annotations={"class": {"name": kind, "id": classes[kind]}} if kind else {},
        )
        return Found(sample=sample, path=path)


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Image files below a folder in order of path, and links to folders, which are not followed."""
    images: list[Path] = []
    linked: list[Path] = []
    for place, folders, files in os.walk(folder):
        linked += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        images += [Path(place, name) for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(images), sorted(linked)
