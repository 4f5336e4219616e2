"""A cache in a zip file: the folder of a cache, or what is in it, as `zip`, Python and zarr pack them."""

import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from foresight_cache.errors import CacheError, CorruptCache, NotACache
from foresight_cache.format.layout import ROOT_KEY

_HEADER, _NAME, _EXTRA = 30, slice(26, 28), slice(28, 30)
"""Bytes of an entry's local header, and where in it the lengths of its two variable parts stand (APPNOTE 4.3.7)."""
_ENCRYPTED = 1
_LARGEST = 2**30
"""Bytes of an object up to which a compressed one is unpacked into memory, since no part of it can be read alone."""


class ZipStore:
    """A zip file. Objects that are stored as they are (`zip -0`) are read in parts, compressed ones unpacked whole."""

    reads_at_once = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, OSError) as error:
            raise NotACache(f"{path} is no zip file, or not a whole one: {error}; copy it again") from None
        root = self._root([entry.filename for entry in entries])
        self._entries = {
            entry.filename.removeprefix(root): entry for entry in entries if entry.filename.startswith(root)
        }
        self._unpacked = lru_cache(maxsize=2)(self._unpack)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)

    def read(self, key: str) -> bytes:
        size, read = self.ranges(key)
        return bytes(read(0, size))

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        entry = self._entry(key)
        if entry.compress_type == zipfile.ZIP_STORED:
            return entry.file_size, partial(self._part, self._start(entry), entry.file_size)
        return entry.file_size, lambda start, stop: self._unpacked(key)[start:stop]

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        size, read = self.ranges(key)
        filled = 0
        for buffer in buffers:
            part = read(start + filled, min(start + filled + len(buffer), size))
            buffer[: len(part)] = part
            filled += len(part)
        return filled

    def names(self, key: str) -> list[str]:
        below = (name.removeprefix(f"{key}/") for name in self._entries if name.startswith(f"{key}/"))
        return sorted(name for name in below if "/" not in name)

    def sizes(self) -> dict[str, int]:
        return {key: entry.file_size for key, entry in self._entries.items()}

    def _root(self, names: Sequence[str]) -> str:
        """Returns what the names of the cache's objects begin with: nothing, or a folder and a slash."""
        roots = [name.removesuffix(ROOT_KEY) for name in names if name.split("/")[-1] == ROOT_KEY]
        least = min((root.count("/") for root in roots), default=0)
        highest = sorted({root for root in roots if root.count("/") == least})
        if len(highest) > 1:
            raise NotACache(
                f"{self.path} holds {len(highest)} stores ({', '.join(highest[:3])}), expected one cache; "
                "unpack it, or put each into a zip file of its own"
            )
        return highest[0] if highest else ""

    def _entry(self, key: str) -> zipfile.ZipInfo:
        if key not in self._entries:
            raise FileNotFoundError(key)
        return self._entries[key]

    def _start(self, entry: zipfile.ZipInfo) -> int:
        """Returns where in the file the bytes of an entry begin."""
        with self.path.open("rb", buffering=0) as file:
            header = os.pread(file.fileno(), _HEADER, entry.header_offset)
        if len(header) < _HEADER or entry.flag_bits & _ENCRYPTED:
            raise CacheError(f"{entry.filename} of {self.path} is cut off or encrypted; make the zip file again")
        return entry.header_offset + _HEADER + sum(int.from_bytes(header[part], "little") for part in (_NAME, _EXTRA))

    def _part(self, first: int, size: int, start: int, stop: int) -> bytes:
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), max(0, min(stop, size) - start), first + start)

    def _unpack(self, key: str) -> bytes:
        entry = self._entry(key)
        if entry.file_size > _LARGEST:
            raise CacheError(
                f"{key} of {self.path} is compressed and has {entry.file_size / 1e9:.1f} GB, so that no sample of it "
                "can be read alone; make the zip file without compression, as by: zip -0 -r cache.zip CACHE"
            )
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(entry)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            raise CorruptCache(f"{key} of {self.path} cannot be unpacked: {error}; copy the zip file again") from None
        except (NotImplementedError, RuntimeError) as error:  # compressed in another way, or encrypted
            raise CacheError(
                f"{key} of {self.path} cannot be unpacked: {error}; make the zip file again, as by: zip -0 -r"
            ) from None
