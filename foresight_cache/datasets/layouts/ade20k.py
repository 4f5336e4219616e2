"""ADE20K as the scene parsing benchmark of 2016 publishes it, `ADEChallengeData2016`.

    ROOT/images/<split>/ADE_val_00000001.jpg
    ROOT/annotations/<split>/ADE_val_00000001.png    label per pixel: 0 unlabelled, 1 to 150 the classes
    ROOT/objectInfo150.txt or .csv                   the classes, one a row below a heading
    ROOT/sceneCategories.txt                         image name and scene, one pair a row; not needed

ROOT is that folder or the one that holds it.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.inventory import Inventory
from foresight_cache.datasets.parts.counted_files import take_inventory
from foresight_cache.datasets.parts.file_kinds import is_hidden, is_split_file, suffix_of
from foresight_cache.datasets.parts.listed_samples import broken_sample, check_split, unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import check_stays_inside
from foresight_cache.datasets.parts.text_files import read_lines
from foresight_cache.errors import AbsentFiles, BadSample, DatasetError

_FOLDER = "ADEChallengeData2016"
_LAYOUT = "expected ROOT/images/<split>/*.jpg and ROOT/annotations/<split>/*.png"
_CLASSES = 150
_CLASS_FILES = ("objectInfo150.txt", "objectInfo150.csv")
_SCENES = "sceneCategories.txt"


class Reader:
    """Reader of the dataset family `ade20k`. Sample ids are `<name>/<split>/<file name without suffix>`."""

    def __init__(self, name: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._name = name
        self._root = root / _FOLDER if (root / _FOLDER).is_dir() else root
        self._rules = rules

    def splits(self) -> tuple[str, ...]:
        """Returns the names of the folders of images. Raises `DatasetError` where there is none."""
        images = self._root / "images"
        if (images / "ADE").is_dir():
            raise DatasetError(
                f"{self._root} is the full ADE20K, with images/ADE and *_seg.png; expected the benchmark's "
                f"{_FOLDER}, which is another download"
            )
        if not images.is_dir():
            raise DatasetError(f"{self._root} is not an ADE20K folder: there is no {images}; {_LAYOUT}")
        splits = tuple(sorted(path.name for path in images.iterdir() if path.is_dir() and is_split_file(path.name)))
        if not splits:
            raise DatasetError(f"{images} holds no folder of a split; {_LAYOUT}")
        return splits

    def samples(self, split: str) -> Iterator[ListedSample]:
        """Yields the samples in order of name. Raises `DatasetError`."""
        check_split(split, self.splits(), self._root)
        images, labels = self._root / "images" / split, self._root / "annotations" / split
        if not labels.is_dir():
            raise DatasetError(f"the labels of split {split!r} are missing: there is no folder {labels}; {_LAYOUT}")
        classes, scenes = self._classes(), self._scenes()
        for path in _files(images, ".jpg"):
            annotations: dict[str, Any] = {"labels": {"classes": {"count": classes}, "ignore": 0}}
            if scene := scenes.get(path.stem):
                annotations["scene"] = scene
            yield self._sample(f"{self._name}/{split}/{path.stem}", path, labels / f"{path.stem}.png", annotations)
        for path in _files(labels, ".png"):
            if not (images / f"{path.stem}.jpg").exists():
                reason = f"there are labels {path.name} but no image {path.stem}.jpg in {images}"
                yield BrokenSample(id=f"{self._name}/{split}/{path.stem}", reason=reason, absent=True, labels=path)

    def inventory(self, samples: Iterable[ListedSample], splits: Iterable[str]) -> Inventory:  # noqa: ARG002 - all
        """Counts every file below the root by what becomes of it, where these samples are listed."""
        return take_inventory(self._root, "image", samples, listed=True, follow_links=self._rules.follow_links)

    def _sample(self, sample_id: str, path: Path, labels: Path, annotations: Mapping[str, Any]) -> ListedSample:
        try:
            if "\udc80" <= max(path.name) <= "\udcff":
                raise BadSample(f"its file name {path.name!a} is not UTF-8; rename the file")
            check_stays_inside(path.parent, path, f"{path.name!r}", self._rules.follow_links)
            if not labels.exists():
                raise AbsentFiles(f"its labels are missing: there is no {labels.name} in {labels.parent}")
            check_stays_inside(labels.parent, labels, f"{labels.name!r}", self._rules.follow_links)
        except BadSample as error:
            return broken_sample(sample_id, error, path, labels)
        return unmeasured_sample(sample_id, self._root, path, "image", annotations, labels=labels)

    def _classes(self) -> int:
        """Returns the number of classes: rows of the class file, 150 where there is none."""
        for name in _CLASS_FILES:
            if (self._root / name).is_file():
                rows = [row for row in read_lines(self._root / name)[1:] if row.strip()]
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
        """Returns the scene by image name; empty where there is no file of them."""
        path = self._root / _SCENES
        if not path.is_file():
            return {}
        scenes: dict[str, str] = {}
        for number, line in enumerate(read_lines(path), start=1):
            words = line.split()
            if line.strip() and len(words) != 2:
                raise DatasetError(f"{path}, line {number}: expected the name of an image and its scene; get it again")
            if words:
                scenes[words[0]] = words[1]
        return scenes


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if suffix_of(path.name) == suffix and not is_hidden(path.name))
