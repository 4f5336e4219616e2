"""The bytes of one shard object: a Zarr v3 `sharding_indexed` shard with inner codecs `bytes, crc32c`.

    chunk | crc32c | chunk | crc32c | … | index: (offset, length) as uint64 per inner chunk | crc32c

Chunks stand in the order in which they were written; a chunk that was never written has the offset and
length 2**64 - 1. The codecs' specifications are the Zarr v3 core protocol's `sharding_indexed` and `crc32c`.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from foresight_cache.errors import CorruptCache

_CHECKSUM = 4
_ABSENT = np.uint64(2**64 - 1)


def checksum(data: Any) -> bytes:
    """Returns the crc32c of a bytes-like object as Zarr stores it: four bytes, little endian."""
    return int(google_crc32c.value(np.frombuffer(data, np.uint8))).to_bytes(_CHECKSUM, "little")


def index_size(chunks: int) -> int:
    """Returns the bytes of the index at the end of an object that has room for so many chunks."""
    return 16 * chunks + _CHECKSUM


class ShardObjectWriter:
    """Writes one object to a file chunk by chunk, so that memory holds no whole shard."""

    def __init__(self, path: Path, chunks: int) -> None:
        self.path = path
        self.size = 0
        self._index = np.full((chunks, 2), _ABSENT, "<u8")
        self._digest = hashlib.sha256()
        self._file = path.open("xb", buffering=0)

    def add(self, position: int, values: np.ndarray) -> None:
        """Appends one inner chunk; `values` is C-contiguous, in stored type and full chunk shape."""
        data = values.reshape(-1).view(np.uint8).data
        self._index[position] = (self.size, len(data) + _CHECKSUM)
        self._write(data)
        self._write(checksum(data))

    def has(self, position: int) -> bool:
        return bool(self._index[position, 0] != _ABSENT)

    def finish(self) -> str:
        """Writes the index, waits until all is on disk and returns the object's SHA-256."""
        index = self._index.tobytes()
        self._write(index + checksum(index))
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Closes the file as it is. Harmless after `finish`."""
        self._file.close()

    def _write(self, data: Any) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while len(view):
            try:
                written = self._file.write(view)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from None
            view = view[written:]
            self.size += written


ReadRange = Callable[[int, int], Any]
"""Reads bytes [start, stop) of an object; returns a bytes-like object of that length."""


Fill = Callable[[int, Sequence[memoryview]], int]
"""Fills buffers from an offset in an object on; returns the number of bytes."""


class ShardObjectReader:
    """Reads inner chunks of one object, verifying every checksum."""

    def __init__(self, place: str, size: int, chunks: int, chunk_bytes: int, read: ReadRange) -> None:
        """Reads the index of an object of `size` bytes with room for `chunks` chunks of `chunk_bytes` each.

        Raises `CorruptCache` where the index is not whole or says what no writer would.
        """
        self.place, self.size = place, size
        self._read = read
        self._length = chunk_bytes + _CHECKSUM
        start = size - index_size(chunks)
        if start < 0:
            raise CorruptCache(f"{place} has {size} bytes, too few for its index; extract the shard again")
        footer = bytes(read(start, size))
        if len(footer) != size - start or checksum(footer[:-_CHECKSUM]) != footer[-_CHECKSUM:]:
            raise CorruptCache(f"the index of {place} fails its checksum; restore it or extract the shard again")
        self.index = np.frombuffer(footer[:-_CHECKSUM], "<u8").reshape(chunks, 2)
        present = self.index[self.index[:, 0] != _ABSENT]
        # No sum of the two: near 2**64 it would wrap around and look small.
        past = start < self._length or (present[:, 0] > start - self._length).any()
        if len(present) and (past or (present[:, 1] != self._length).any()):
            raise CorruptCache(f"the index of {place} points past its data; restore it or extract the shard again")

    def has(self, position: int) -> bool:
        return bool(self.index[position, 0] != _ABSENT)

    def stored(self, start: int, stop: int) -> memoryview:
        """Returns bytes [start, stop) of the object as they are, after checking each chunk that lies wholly in them.

        Raises `CorruptCache` where one fails its checksum, and where the object has become shorter or has vanished.
        """
        try:
            data = memoryview(self._read(start, stop))
        except FileNotFoundError:
            data = memoryview(b"")
        if len(data) != stop - start:
            raise CorruptCache(f"{self.place} ends before its {self.size} bytes; restore it or extract the shard again")
        offsets = self.index[:, 0].astype(np.int64)  # -1 where absent
        for position in np.flatnonzero((offsets >= start) & (offsets <= stop - self._length)):
            first = int(offsets[position]) - start
            self._check(int(position), data[first : first + self._length])
        return data

    def chunk(self, position: int) -> memoryview:
        """Returns the bytes of one inner chunk. Raises `CorruptCache` where it is absent or fails its checksum."""
        offset, length = self._span_of(position)
        data = memoryview(self._read(offset, offset + length))
        self._check(position, data)
        return data[:-_CHECKSUM]

    def chunk_into(self, position: int, out: memoryview, fill: Fill, *, check: bool) -> None:
        """Reads one inner chunk into a buffer of just as many bytes; without `check` only their number is checked."""
        offset, length = self._span_of(position)
        stored = bytearray(_CHECKSUM)
        filled = fill(offset, [out, memoryview(stored)])
        if filled != length or (check and checksum(out) != bytes(stored)):
            raise self._damaged(position)

    def _span_of(self, position: int) -> tuple[int, int]:
        """Returns offset and length of a chunk with its checksum."""
        if not self.has(position):
            raise CorruptCache(f"chunk {position} of {self.place} is missing; restore it or extract the shard again")
        return int(self.index[position, 0]), int(self.index[position, 1])

    def _check(self, position: int, data: memoryview) -> None:
        """Raises `CorruptCache` where the bytes of a chunk and its checksum are not those that were written."""
        if len(data) != self._length or checksum(data[:-_CHECKSUM]) != bytes(data[-_CHECKSUM:]):
            raise self._damaged(position)

    def _damaged(self, position: int) -> CorruptCache:
        return CorruptCache(
            f"chunk {position} of {self.place} fails its checksum; restore it or extract the shard again"
        )
