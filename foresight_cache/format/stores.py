"""Where a cache lives: a local directory, or any place that fsspec knows, to read."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import fsspec

from foresight_cache.errors import MissingExtra, UsageError
from foresight_cache.format.claims import held
from foresight_cache.format.layout import PARTIAL


class Store(Protocol):
    """Read access to the objects of a cache, by key. A missing object raises `FileNotFoundError`."""

    place: str
    """The directory or URL, for messages and for opening with other tools."""

    def read(self, key: str) -> bytes: ...

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        """Size of an object in bytes and a function that reads [start, stop) of it."""
        ...

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        """Fills writable buffers of bytes, one after the other, from `start` of an object on; returns how many bytes.

        Fewer than there is room for where the object ends early. Large reads into memory that is used again are
        several times as fast as those into new memory.
        """
        ...

    def names(self, key: str) -> list[str]:
        """Names of the objects directly under a key, sorted; empty where there is none."""
        ...

    def sizes(self) -> dict[str, int]:
        """Bytes of every object by its key, but for what living processes are writing."""
        ...


class LocalStore:
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

    def sizes(self) -> dict[str, int]:
        being_written = held(self.root / PARTIAL)
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.root).as_posix()
                if key.startswith(f"{PARTIAL}/") and path.relative_to(self.root / PARTIAL).parts[0] in being_written:
                    continue
                with suppress(FileNotFoundError):
                    found[key] = path.lstat().st_size
        return found


def _read_range(path: Path, start: int, stop: int) -> bytes:
    """Shorter than asked where the file ends early; a memory map would kill the process there."""
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), stop - start, start)


class RemoteStore:
    """An object store, such as `s3://bucket/prefix`; settings come from the environment (`FSSPEC_S3_…`, `AWS_…`)."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._prefix = fsspec.core.url_to_fs(url)
        except ImportError:
            raise MissingExtra("s3fs", extra="s3", purpose=f"reading {url}") from None
        except ValueError as error:
            raise UsageError(f"{url} is not a place that can be read: {error}") from None
        self.place = url

    def read(self, key: str) -> bytes:
        return bytes(self._files.cat_file(f"{self._prefix}/{key}"))

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        path = f"{self._prefix}/{key}"
        size = int(self._files.size(path))
        return size, lambda start, stop: self._files.cat_file(path, start=start, end=stop)

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        stop = start + sum(map(len, buffers))
        data = memoryview(self._files.cat_file(f"{self._prefix}/{key}", start=start, end=stop))
        taken = 0
        for buffer in buffers:
            part = data[taken : taken + len(buffer)]
            buffer[: len(part)] = part
            taken += len(part)
        return taken

    def names(self, key: str) -> list[str]:
        try:
            entries = self._files.ls(f"{self._prefix}/{key}", detail=True)
        except FileNotFoundError:
            return []
        return sorted(os.path.basename(entry["name"]) for entry in entries if entry["type"] == "file")  # noqa: PTH119 - a URL

    def sizes(self) -> dict[str, int]:
        self._files.invalidate_cache(self._prefix)
        entries = self._files.find(self._prefix, detail=True)
        return {path.removeprefix(f"{self._prefix}/"): int(entry["size"]) for path, entry in entries.items()}


def open_store(place: str | os.PathLike[str]) -> Store:
    """A local path or a URL with a scheme."""
    text = os.fspath(place)
    return RemoteStore(text) if "://" in text else LocalStore(Path(text))
