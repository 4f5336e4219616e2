"""ADE20K as the scene parsing benchmark of 2016 publishes it, `ADEChallengeData2016`.

    ROOT/images/<split>/ADE_val_00000001.jpg
    ROOT/annotations/<split>/ADE_val_00000001.png    label per pixel: 0 unlabelled, 1 to 150 the classes
    ROOT/objectInfo150.txt or .csv                   the classes, one a row below a heading
    ROOT/sceneCategories.txt                         image name and scene, one pair a row; not needed

ROOT is that folder or the one that holds it.
"""

from collections.abc import Iterator
from pathlib import Path

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.safe_paths import check_stays
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError
from foresight_cache.samples import Sample, is_safe_name

_FOLDER = "ADEChallengeData2016"
_LAYOUT = "expected ROOT/images/<split>/*.jpg and ROOT/annotations/<split>/*.png"
_CLASSES = 150
_CLASS_FILES = ("objectInfo150.txt", "objectInfo150.csv")
_SCENES = "sceneCategories.txt"


class Reader:
    """The dataset family `ade20k`. Sample ids are `<name>/<split>/<file name without suffix>`."""

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root / _FOLDER if (root / _FOLDER).is_dir() else root

    def splits(self) -> tuple[str, ...]:
        """Folders of images. Raises `DatasetError` where there is none."""
        images = self._root / "images"
        if not images.is_dir():
            raise DatasetError(f"{self._root} is no ADE20K folder: there is no {images}; {_LAYOUT}")
        splits = tuple(sorted(path.name for path in images.iterdir() if path.is_dir() and is_safe_name(path.name)))
        if not splits:
            raise DatasetError(f"{images} holds no folder of a split; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[RawSample | BrokenSample]:
        """In order of name. Raises `DatasetError`."""
        if split not in (splits := self.splits()):
            raise DatasetError(f"{self._root} has no split {split!r}; splits there: {', '.join(splits)}")
        labels = self._root / "annotations" / split
        if not labels.is_dir():
            raise DatasetError(f"the labels of split {split!r} are missing: there is no folder {labels}; {_LAYOUT}")
        classes, scenes = self._classes(), self._scenes()
        for path in _files(self._root / "images" / split, ".jpg"):
            yield self._record(path, labels / f"{path.stem}.png", split, classes, scenes.get(path.stem))
        images = self._root / "images" / split
        for path in _files(labels, ".png"):
            if not (images / f"{path.stem}.jpg").exists():
                reason = f"there are labels {path.name} but no image {path.stem}.jpg in {images}"
                yield BrokenSample(id=f"{self._name}/{split}/{path.stem}", reason=reason, absent=True)

    def _record(
        self, path: Path, labels: Path, split: str, classes: int, scene: str | None
    ) -> RawSample | BrokenSample:
        sample_id = f"{self._name}/{split}/{path.stem}"
        try:
            if "\udc80" <= max(path.name) <= "\udcff":
                raise BadSample(f"its file name {path.name!a} is not UTF-8; rename the file")
            check_stays(self._root / "images" / split, path, f"{path.name!r}")
            if not labels.exists():
                raise AbsentFiles(f"its labels are missing: there is no {labels.name} in {labels.parent}")
            check_stays(labels.parent, labels, f"{labels.name!r}")
        except BadSample as error:
            return BrokenSample(id=ascii(sample_id)[1:-1], reason=str(error), absent=isinstance(error, AbsentFiles))
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=split,
            group=sample_id,
            media="image",
            file_name=path.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            annotations={
                "labels": {"classes": {"count": classes}, "ignore": 0},
                **({"scene": scene} if scene else {}),
            },
        )
        return RawSample(sample=sample, path=path, labels=labels)

    def _classes(self) -> int:
        """The number of classes: rows of the class file, 150 where there is none."""
        for name in _CLASS_FILES:
            if (self._root / name).is_file():
                rows = [row for row in _lines(self._root / name)[1:] if row.strip()]
                wrong = [
                    row for number, row in enumerate(rows, 1) if row.replace("\t", ",").split(",")[0] != str(number)
                ]
                if wrong or not 0 < len(rows) <= 255:
                    row = f", such as the row {wrong[0][:60]!r}" if wrong else f" but {len(rows)} rows"
                    raise DatasetError(
                        f"{self._root / name} lists no classes numbered from 1 on{row}; get the file again"
                    )
                return len(rows)
        return _CLASSES

    def _scenes(self) -> dict[str, str]:
        """Scene by image name; empty where there is no file of them."""
        path = self._root / _SCENES
        if not path.is_file():
            return {}
        scenes: dict[str, str] = {}
        for number, line in enumerate(_lines(path), start=1):
            words = line.split()
            if line.strip() and len(words) != 2:
                raise DatasetError(f"{path}, line {number}: expected the name of an image and its scene; get it again")
            if words:
                scenes[words[0]] = words[1]
        return scenes


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}); get the file again") from None
