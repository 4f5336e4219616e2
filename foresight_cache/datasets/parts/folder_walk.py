"""Walks through the folders of a raw dataset; one that cannot be read is an error, and no folder that is not there."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.datasets.parts.safe_paths import leads_into
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


def walk(root: Path, entered: Collection[str] = (), follow_links: Sequence[Path] = ()) -> Iterator[WalkedFolder]:
    """Yields the root and each folder below it. Raises `DatasetError` for a folder that cannot be read.

    `entered` are paths below the root of folders that are walked even where they are links, `follow_links` folders that
    links anywhere may lead into.
    """
    left: list[tuple[str, tuple[str, ...]]] = [("", ())]
    while left:
        prefix, followed = left.pop()
        folder = _scanned(root, prefix)
        if folder.linked_folders:
            _follow(root, folder, entered, follow_links, followed)
        yield folder
        for name in folder.folders:
            way = followed
            # Only links can lead in a circle, so that the way here has to be known only where there are any.
            if follow_links and (root / prefix / name).is_symlink():
                way = (*followed, os.path.realpath(root / prefix), os.path.realpath(root / prefix / name))
            left.append((f"{prefix}{name}{os.sep}", way))


def _follow(
    root: Path,
    folder: WalkedFolder,
    entered: Collection[str],
    follow_links: Sequence[Path],
    followed: Sequence[str],
) -> None:
    """Moves links to folders that are to be walked to those that are."""
    here = root / folder.prefix
    outside = (*followed, os.path.realpath(root), os.path.realpath(here))
    for name in list(folder.linked_folders):
        if folder.prefix + name in entered or (follow_links and leads_into(here / name, follow_links, outside=outside)):
            folder.linked_folders.remove(name)
            folder.folders.append(name)


def _scanned(root: Path, prefix: str) -> WalkedFolder:
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
                else:
                    (linked_folders if linked else folders).append(entry.name)
    except OSError as error:
        raise DatasetError(
            f"the folder {root / prefix} cannot be read: {error.strerror}; what it holds would be left out"
        ) from None
    return WalkedFolder(
        prefix=prefix, folders=folders, files=files, links=frozenset(links), linked_folders=linked_folders
    )
