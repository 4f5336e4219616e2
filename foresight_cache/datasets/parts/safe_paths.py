"""Checks names and paths that a dataset's files give: valid text, and never out of the dataset's folder."""

import os
import re
import stat
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.errors import BadSample
from foresight_cache.records import is_text, shown

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9]+")
"""File names as most sets have them, for which the careful way is not needed."""


def stem(name: str) -> str:
    """Returns the path without its suffix, as it stands in the id of a sample.

    >>> stem("COCO_val2014_000000000042.jpg"), stem("a/b.c/d.tar.gz")
    ('COCO_val2014_000000000042', 'a/b.c/d.tar')
    """
    return name.partition(".")[0] if _PLAIN.fullmatch(name) else Path(name).with_suffix("").as_posix()


def name_below(root: Path, path: Path) -> str:
    """Returns the path below its root with slashes; much cheaper than `relative_to`, which large sets feel.

    >>> name_below(Path("."), Path("val/a.jpg")), name_below(Path("/raw"), Path("/raw/val/a.jpg"))
    ('val/a.jpg', 'val/a.jpg')
    """
    return "/".join(path.parts[len(root.parts) :])


def path_inside(folder: Path, name: Any, where: str, key: str = "file_name", follow_links: Sequence[Path] = ()) -> Path:
    """Returns the path of a file that `where` names under `key`. Raises `BadSample` for no name or one that leads out.

    The folder itself may be a link to elsewhere; what it holds may not leave it, but by links into `follow_links`.
    """
    if isinstance(name, str) and _PLAIN.fullmatch(name):
        path = folder / name
        check_stays_inside(folder, path, f"{key} {name!r}", follow_links)
        return path
    if not is_text(name) or "\0" in name or not Path(name).stem:
        raise BadSample(f"{where} has {key} {shown(name)}, expected the name of a file")
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadSample(f"{key} {name!r} leaves the folder of the images, which is not followed")
    check_stays_inside(folder, path, f"{key} {name!r}", follow_links)
    return path


def check_stays_inside(folder: Path, path: Path, what: str, follow_links: Sequence[Path] = ()) -> None:
    """Raises `BadSample` where a path below a folder is a link out of it, and not into one of `follow_links`."""
    try:
        if not _has_links(folder, path):  # the plain case, at a tenth of the cost
            return
        target = os.path.realpath(path)
        stays = target.startswith((_realpath(folder), *map(_realpath, follow_links)))
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long
        raise BadSample(f"{what} cannot be followed: {error}") from None
    if not stays:
        raise BadSample(
            f"{what} is a link out of the folder of the images, which is not followed; name the folder that it leads "
            "to with --follow-links, or put the file itself there"
        )


def leads_into(path: Path, folders: Sequence[Path], *, outside: Collection[str]) -> bool:
    """Returns whether a link to a folder leads into one of these folders, and not back to what it lies in.

    `outside` are the real paths of the folders that led here; a link to one of them, or above it, is a circle.
    """
    target = os.path.realpath(path) + os.sep
    return target.startswith(tuple(map(_realpath, folders))) and not any(
        f"{each}{os.sep}".startswith(target) for each in outside
    )


def _has_links(folder: Path, path: Path) -> bool:
    """Returns whether a part of the path below the folder is a link.

    Raises `OSError` and `ValueError` for impossible names.
    """
    current = os.fspath(folder)
    for part in path.parts[len(folder.parts) :]:
        current = f"{current}{os.sep}{part}"
        try:
            if stat.S_ISLNK(os.lstat(current).st_mode):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False  # what is not there leads nowhere
    return False


def _realpath(folder: Path) -> str:
    return os.path.realpath(folder) + os.sep
