"""Walks through the folders of a raw dataset; one that cannot be read is an error, and no folder that is not there."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import DatasetError


@dataclass(frozen=True, kw_only=True, slots=True)
class WalkedFolder:
    """Names in one folder, unsorted; a caller takes out of `folders` what is not to be walked."""

    prefix: str
    """Its path below the root, with a slash at the end; empty for the root."""
    folders: list[str]
    files: list[str]
    """Files, and links to files or to nothing."""
    links: frozenset[str]
    """Those of the files that are links."""
    linked_folders: list[str]
    """Links to folders, which are not walked."""


def walk(root: Path, entered: Collection[str] = ()) -> Iterator[WalkedFolder]:
    """Yields the root and each folder below it. Raises `DatasetError` for a folder that cannot be read.

    `entered` are the names of folders in the root that are walked even where they are links.
    """
    left = [""]
    while left:
        prefix = left.pop()
        folder = _scanned(root, prefix, entered if not prefix else ())
        yield folder
        left += [f"{prefix}{name}{os.sep}" for name in folder.folders]


def _scanned(root: Path, prefix: str, entered: Collection[str]) -> WalkedFolder:
    folders: list[str] = []
    files: list[str] = []
    links: list[str] = []
    linked_folders: list[str] = []
    try:
        with os.scandir(f"{root}{os.sep}{prefix}") as entries:
            for entry in entries:
                linked = entry.is_symlink()
                # A link in a circle is none to a folder; `DirEntry.is_dir` would raise there.
                if not (Path(entry.path).is_dir() if linked else entry.is_dir()):
                    files.append(entry.name)
                    links += [entry.name] if linked else []
                elif linked and entry.name not in entered:
                    linked_folders.append(entry.name)
                else:
                    folders.append(entry.name)
    except OSError as error:
        raise DatasetError(
            f"the folder {root / prefix} cannot be read: {error.strerror}; what it holds would be left out"
        ) from None
    return WalkedFolder(
        prefix=prefix, folders=folders, files=files, links=frozenset(links), linked_folders=linked_folders
    )
