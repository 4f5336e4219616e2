"""Room on the disk of a folder that need not exist yet."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import CacheError
from foresight_cache.runtime.progress import format_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Room that a disk has left."""

    folder: Path
    """Nearest folder that exists."""
    free: int | None
    """Bytes that this user may still write; None where the filesystem does not tell."""
    block: int
    """Bytes of a block of the filesystem."""

    def check(self, place: str, needed: int) -> None:
        """Raises `CacheError` where `needed` bytes of the cache at `place` do not fit."""
        if self.free is not None and needed > self.free:
            raise CacheError(
                f"the cache at {place} needs {format_bytes(needed)} more and the disk of {self.folder} has "
                f"{format_bytes(self.free)} free; free {format_bytes(needed - self.free)} there, "
                "name another --out or keep fewer --points"
            )


def room_at(path: Path, passing: Sequence[Path] = ()) -> Room:
    """Returns the room on the disk of a folder that is or would be there.

    Bytes under the folders `passing` count as free: they are part of what is still to be written, or soon removed.
    """
    folder = nearest_folder(path)
    status = os.statvfs(folder)
    block = status.f_frsize or status.f_bsize or 1
    free = status.f_bavail * block + sum(map(_bytes_under, passing))
    return Room(folder=folder, free=free if status.f_blocks else None, block=block)


def nearest_folder(path: Path) -> Path:
    """Returns the path itself, or the nearest folder above it that exists.

    >>> str(nearest_folder(Path("/no/such/folder")))
    '/'
    """
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _bytes_under(folder: Path) -> int:
    """Bytes on disk under a folder; files may vanish meanwhile."""
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(inner) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
