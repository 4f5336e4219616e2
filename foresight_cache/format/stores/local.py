"""A cache in a local directory, or on a filesystem that is mounted as one."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from foresight_cache.format.layout import PARTIAL
from foresight_cache.runtime.claims import held


class LocalStore:
    """A directory and what lies below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        path = self.root / key
        return path.stat().st_size, partial(_read_range, path)

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        with (self.root / key).open("rb", buffering=0) as file:
            return os.preadv(file.fileno(), buffers, start)

    def names(self, key: str) -> list[str]:
        folder = self.root / key
        return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []

    def children(self, key: str) -> set[str]:
        folder = self.root / key
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def sizes(self) -> dict[str, int]:
        being_written = held(self.root / PARTIAL)
        sizes = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.root).as_posix()
                if key.startswith(f"{PARTIAL}/") and path.relative_to(self.root / PARTIAL).parts[0] in being_written:
                    continue
                with suppress(FileNotFoundError):
                    sizes[key] = path.lstat().st_size
        return sizes


def _read_range(path: Path, start: int, stop: int) -> bytes:
    """Reads [start, stop), or less where the file ends early; a memory map would kill the process there."""
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), stop - start, start)
