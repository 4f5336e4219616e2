"""A cache in a local directory, or on a filesystem that is mounted as one."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from foresight_cache.format.layout import PARTIAL, SAMPLES
from foresight_cache.runtime import claims
from foresight_cache.runtime.attempts import Life, attempts
from foresight_cache.runtime.claims import Claim
from foresight_cache.runtime.disk_space import Room, room_at
from foresight_cache.runtime.durable_files import (
    NO_LINKS,
    make_folder,
    publish,
    publish_new,
    same_bytes,
    sync,
    write_new,
)


class LocalStore:
    """A directory and what lies below it; as a place to write, a `WritableStore`.

    An object gets its name by link(2), which replaces nothing. Records are swapped in turns: by claims that need no
    file locks, so that two processes are never at it at once.
    """

    reads_at_once = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = str(root)
        self._partial = root / PARTIAL

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
        being_written = claims.held(self._partial)
        sizes = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.root).as_posix()
                if key.startswith(f"{PARTIAL}/") and path.relative_to(self._partial).parts[0] in being_written:
                    continue
                with suppress(FileNotFoundError):
                    sizes[key] = path.lstat().st_size
        return sizes

    def create(self, key: str, content: Path | bytes) -> bool:
        with self._whole(key, content) as partial:
            try:
                publish_new(partial, self.root / key)
            except FileExistsError:
                return self._has(key, partial)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                return self._renamed(key, partial)
            partial.unlink()
            return True

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        with self._turn(key) as turn:
            if (there := self._bytes(key)) != old:
                return there == new
            write_new(turn.scratch / "new", new)
            return self._put(turn, turn.scratch / "new", key) and self._bytes(key) == new

    def tag(self, key: str) -> str:
        status = (self.root / key).stat()
        return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"

    def replace(self, key: str, tag: str, content: Path | bytes) -> bool:
        with self._whole(key, content) as partial, self._turn(key) as turn:
            try:
                return self.tag(key) == tag and self._put(turn, partial, key)
            except FileNotFoundError:
                return False

    def remove(self, key: str, tag: str) -> bool:
        path = self.root / key
        with self._turn(key):
            try:
                if self.tag(key) != tag:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
            sync(path.parent)
        return True

    def attempts(self) -> list[str]:
        return sorted(path.name for path, life in attempts(self._partial).items() if life is Life.LIVING)

    def claim(self, name: str) -> Claim | None:
        make_folder(self.root / SAMPLES)
        return claims.claim(self._partial, name)

    def sweep(self) -> None:
        claims.sweep(self._partial)

    def check_writable(self) -> None:
        """Does nothing: what a filesystem refuses is refused with the first object."""

    def room(self) -> Room:
        return room_at(self.root, [self._partial])

    @contextmanager
    def _whole(self, key: str, content: Path | bytes) -> Iterator[Path]:
        """Yields a durable file of the content on this filesystem; one that was made for it is gone afterwards."""
        if isinstance(content, Path):
            sync(content)
            yield content
            return
        make_folder(self.root / SAMPLES)
        with claims.scratch_folder(self._partial, _flat(key)) as scratch:
            write_new(scratch / "new", content)
            yield scratch / "new"

    @contextmanager
    def _turn(self, key: str) -> Iterator[Claim]:
        """Waits until no other process replaces this object."""
        make_folder(self.root / SAMPLES)
        with claims.exclusive(self._partial, f"{_flat(key)}.turn") as turn:
            yield turn

    def _renamed(self, key: str, partial: Path) -> bool:
        """Gives a file its name in turn, on a filesystem where files cannot have two."""
        with self._turn(key) as turn:
            if (self.root / key).exists():
                return self._has(key, partial)
            return self._put(turn, partial, key)

    def _put(self, turn: Claim, partial: Path, key: str) -> bool:
        """Renames a file in turn; False where others took this process for dead meanwhile, and its turn with it."""
        if not turn.renew():
            return False
        publish(partial, self.root / key)
        return True

    def _has(self, key: str, partial: Path) -> bool:
        """Makes sure that what is there stays, whoever has put it there, and tells whether it has these bytes."""
        path = self.root / key
        sync(path)
        sync(path.parent)
        return same_bytes(partial, path)

    def _bytes(self, key: str) -> bytes | None:
        try:
            return self.read(key)
        except FileNotFoundError:
            return None


def _flat(key: str) -> str:
    """Returns a key as the name of one file."""
    return key.replace("/", "-")


def _read_range(path: Path, start: int, stop: int) -> bytes:
    """Reads [start, stop), or less where the file ends early; a memory map would kill the process there."""
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), stop - start, start)
