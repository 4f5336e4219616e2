"""Room on the disk where a cache is or would be."""

import os
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import CacheError
from foresight_cache.format import layout
from foresight_cache.runtime.progress import format_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeSpace:
    """Room that the disk of a path has left."""

    folder: Path
    """Nearest folder that exists."""
    free: int | None
    """Bytes that this user may still write; None where the filesystem does not tell."""
    block: int
    """Bytes of a block of the filesystem."""

    def check(self, out: Path, needed: int) -> None:
        """Raises `CacheError` where `needed` bytes of the cache at `out` do not fit."""
        if self.free is not None and needed > self.free:
            raise CacheError(
                f"the cache at {out} needs {format_bytes(needed)} more and the disk of {self.folder} has "
                f"{format_bytes(self.free)} free; free {format_bytes(needed - self.free)} there, "
                "name another --out or keep fewer --points"
            )


def free_space_at(out: Path) -> FreeSpace:
    """Returns the room on the disk where a cache is or would be.

    Bytes of shards that are being written there count as free: they are part of what is still needed, or left by a
    killed process and swept at the next start.
    """
    folder = nearest_folder(out)
    status = os.statvfs(folder)
    block = status.f_frsize or status.f_bsize or 1
    free = status.f_bavail * block + _under_way(out / layout.PARTIAL)
    return FreeSpace(folder=folder, free=free if status.f_blocks else None, block=block)


def nearest_folder(path: Path) -> Path:
    """Returns the path itself, or the nearest folder above it that exists.

    >>> str(nearest_folder(Path("/no/such/folder")))
    '/'
    """
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _under_way(partial: Path) -> int:
    """Bytes on disk under a folder; files may vanish meanwhile."""
    total = 0
    for folder, _, names in os.walk(partial):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
