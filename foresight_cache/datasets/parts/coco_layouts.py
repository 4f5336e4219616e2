"""Finds the annotation file and the images of each split of a folder in COCO format, as tools lay it out.

| written by | annotations | images |
|---|---|---|
| COCO, CVAT, Datumaro | `annotations/instances_<split>.json` | `<split>/`, `images/<split>/` or `images/` |
| Roboflow | `<split>/_annotations.coco.json` | beside it |
| FiftyOne | `labels.json`, or `<split>/labels.json` | `data/` beside it |
| Label Studio | `result.json` | `images/` |
| labelme | `annotations.json` | `JPEGImages/` |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.datasets.parts.class_folders import ALL
from foresight_cache.datasets.parts.file_kinds import is_split_file
from foresight_cache.errors import DatasetError
from foresight_cache.samples import is_safe_name

LAYOUT = (
    "expected ROOT/annotations/instances_<split>.json, and images in ROOT/<split>, ROOT/images/<split> or ROOT/images; "
    "or a folder as Roboflow, FiftyOne, Label Studio or labelme write it"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoSplit:
    """Files of one split."""

    name: str
    annotations: Path
    image_folders: tuple[Path, ...]
    """Folders that its images may lie in; the first one that there is does hold them."""
    captions: Path | None = None
    keypoints: Path | None = None
    own_folder_in_names: bool = False
    """True where names of files begin with that of the images' folder, or with where they once were."""
    left_out: tuple[str, ...] = ()
    """Lists that its tool leaves out of the annotation file where they would be empty."""

    @property
    def images(self) -> Path:
        """The folder of its images. Raises `DatasetError` where there is none."""
        for folder in self.image_folders:
            if folder.is_dir():
                return folder
        missing = " and no ".join(map(str, self.image_folders))
        raise DatasetError(f"the images of split {self.name!r} are missing: there is no folder {missing}")

    def name_below(self, name: str) -> str:
        """Returns the name of an image below the folder of images.

        >>> images, json = (Path("images"),), Path("result.json")
        >>> split = CocoSplit(name="all", annotations=json, image_folders=images, own_folder_in_names=True)
        >>> [split.name_below(name) for name in ("images/1f-a.jpg", "/data/upload/1/1f-a.jpg", "a/b.jpg")]
        ['1f-a.jpg', '1f-a.jpg', 'a/b.jpg']
        """
        if not self.own_folder_in_names:
            return name
        plain = name.replace("\\", "/")
        first, _, rest = plain.removeprefix("./").partition("/")
        if first == self.image_folders[0].name and rest:
            return rest
        return plain.rpartition("/")[2] if plain.startswith(("/", "../")) or re.match("[A-Za-z]:/", plain) else name


def find_splits(root: Path) -> dict[str, CocoSplit]:
    """Returns the files of each split, in order of name. Raises `DatasetError` where it is not clear which they are."""
    if not root.is_dir():
        raise DatasetError(f"there is no folder {root}; {LAYOUT}")
    found = {tool: splits for tool, find in _FINDERS.items() if (splits := find(root))}
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise DatasetError(
            f"{root} is laid out as by {one}, {next(iter(first.values())).annotations}, and as by {other}, "
            f"{next(iter(second.values())).annotations}; which are meant is unknown, so take the others away"
        )
    if not found:
        missing = root / "annotations" / "instances_*.json"
        raise DatasetError(f"{root} is not a folder in COCO format: there is no {missing}; {LAYOUT}")
    return next(iter(found.values()))


def _of_coco(root: Path) -> dict[str, CocoSplit]:
    folder = root / "annotations"
    files = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    matches = [re.fullmatch(r"instances_(.+)\.json", file) for file in files]
    splits = [match[1] for match in matches if match and is_safe_name(match[1])]
    return {
        split: CocoSplit(
            name=split,
            annotations=folder / f"instances_{split}.json",
            image_folders=(root / split, root / "images" / split, *_flat(root / "images", splits)),
            captions=folder / f"captions_{split}.json",
            keypoints=folder / f"person_keypoints_{split}.json",
        )
        for split in splits
    }


def _flat(folder: Path, splits: list[str]) -> tuple[Path, ...]:
    """Returns the folder of all images, unless it holds folders of splits, where one that is missing is missed."""
    return (folder,) if folder.is_dir() and not any((folder / split).is_dir() for split in splits) else ()


def _of_roboflow(root: Path) -> dict[str, CocoSplit]:
    return {
        split: CocoSplit(name=split, annotations=folder / "_annotations.coco.json", image_folders=(folder,))
        for split, folder in _folders_with(root, "_annotations.coco.json").items()
    }


def _of_fiftyone(root: Path) -> dict[str, CocoSplit]:
    return {
        split: CocoSplit(
            name=split,
            annotations=folder / "labels.json",
            image_folders=(folder / "data",),
            left_out=("annotations",),
        )
        for split, folder in _folders_with(root, "labels.json").items()
        if (folder / "data").is_dir()
    }


def _of_label_studio(root: Path) -> dict[str, CocoSplit]:
    return _in_one_file(root / "result.json", root / "images")


def _of_labelme(root: Path) -> dict[str, CocoSplit]:
    return _in_one_file(root / "annotations.json", root / "JPEGImages")


def _in_one_file(annotations: Path, images: Path) -> dict[str, CocoSplit]:
    if not (annotations.is_file() and images.is_dir()):
        return {}
    return {ALL: CocoSplit(name=ALL, annotations=annotations, image_folders=(images,), own_folder_in_names=True)}


def _folders_with(root: Path, name: str) -> Mapping[str, Path]:
    """Returns the folders of splits that hold such a file, by split; the root itself is the only split.

    Raises `DatasetError` where both do.
    """
    inner = {
        path.name: path
        for path in sorted(root.iterdir())
        if is_split_file(path.name) and path.is_dir() and (path / name).is_file()
    }
    if not (root / name).is_file():
        return inner
    if inner:
        raise DatasetError(
            f"{root / name} and {next(iter(inner.values())) / name} are both there; whether {root} is one split or "
            "holds several is unknown, so take one of them away"
        )
    return {ALL: root}


_FINDERS: Mapping[str, Callable[[Path], dict[str, CocoSplit]]] = {
    "COCO": _of_coco,
    "Roboflow": _of_roboflow,
    "FiftyOne": _of_fiftyone,
    "Label Studio": _of_label_studio,
    "labelme": _of_labelme,
}
