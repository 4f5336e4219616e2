"""Refuses folders that are nearly in another layout than the one they would be read in."""

from collections.abc import Sequence
from pathlib import Path

from foresight_cache.datasets import FolderRules
from foresight_cache.datasets.parts.file_kinds import SPLITS, is_near_split_name, split_name
from foresight_cache.errors import DatasetError

_AS_CLASSES = "accept them as classes with --pass-over split-names"
_MOST = 5
"""Names that a sentence lists."""


def check_split_folders(root: Path, names: Sequence[str]) -> None:
    """Raises `DatasetError` where names of folders are like those of splits, and none is one."""
    if near := [name for name in names if is_near_split_name(name)]:
        raise DatasetError(
            f"{root} holds {_folders(near)} that may be meant as {'a split' if len(near) == 1 else 'splits'}; "
            f"rename to one of {', '.join(SPLITS)}, or {_AS_CLASSES}"
        )


def check_class_folders(folder: Path, names: Sequence[str], rules: FolderRules) -> None:
    """Raises `DatasetError` where all media below a folder would be of one class, or splits would lie in classes.

    `names` are paths of the media below it.
    """
    parts = [name.split("/", 3) for name in names]
    inner = {tuple(part[:2]) for part in parts if len(part) > 2}
    tops = {part[0] for part in parts}
    splits = sorted({second for _, second in inner if split_name(second)})
    if len(tops) == 1 and all(len(part) > 2 for part in parts) and not rules.accepts("wrapping"):
        top = next(iter(tops))
        holds = f"the splits {' and '.join(splits)}" if splits else _folders(sorted(second for _, second in inner))
        raise DatasetError(
            f"all media in {folder} lie in its folder {top}, which holds {holds}, so that they would be of one class; "
            f"give {folder / top} as --root, or accept the one class with --pass-over wrapping"
        )
    if splits and not rules.accepts("split-names"):
        top = min(first for first, second in inner if second == splits[0])
        raise DatasetError(
            f"in {folder} {_folders(splits)} of splits lie below folders of classes, such as {top}/{splits[0]}, so "
            "that the splits would be mixed; put the folders of splits above, or accept that they are mixed with "
            "--pass-over split-names"
        )


def _folders(names: Sequence[str]) -> str:
    listed = ", ".join(names[:_MOST]) + (", …" if len(names) > _MOST else "")
    return f"the folder{'s' if len(names) > 1 else ''} {listed}"
