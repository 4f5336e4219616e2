"""The bytes of a shard object: a Zarr v3 `sharding_indexed` shard of inner codecs `bytes`, for some `blosc`, `crc32c`.

    chunk | crc32c | chunk | crc32c | … | index: (offset, length) as uint64 per inner chunk | crc32c

Chunks stand in the order in which they were written; a chunk that was never written has the offset and
length 2**64 - 1. The codecs' specifications are the Zarr v3 core protocol's `sharding_indexed`, `blosc` and `crc32c`.
A checksum is of the bytes as they are stored, so that it is verified before anything is decompressed.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import crc32c
import numpy as np

from foresight_cache.errors import CorruptCache
from foresight_cache.format.codecs import ChunkCodec, as_bytes

_CHECKSUM = 4
NEAR_READ = 1 << 20
"""Bytes of neighbouring chunks that are read at once from a disk: new memory for more costs more than it saves."""
FAR_READ = 1 << 23
"""The same of a store that answers over a network."""
_MOST_CHUNKS = 256
"""Chunks that are read at once: two buffers of each are fewer than the 1,024 that a system takes."""
_ABSENT = np.uint64(2**64 - 1)


def checksum(data: Any) -> bytes:
    """Returns the crc32c of a bytes-like object as Zarr stores it: four bytes, little endian."""
    return int(crc32c.crc32c(data)).to_bytes(_CHECKSUM, "little")


def index_size(chunks: int) -> int:
    """Returns the bytes of the index at the end of an object that has room for so many chunks."""
    return 16 * chunks + _CHECKSUM


class ShardObjectWriter:
    """Writes one object to a file chunk by chunk, so that memory holds no whole shard."""

    def __init__(self, path: Path, chunks: int, encode: Callable[[np.ndarray], memoryview] = as_bytes) -> None:
        """Begins an object with room for so many chunks, each of which is stored as `encode` returns it."""
        self.path, self._encode = path, encode
        self.size = 0
        self._index = np.full((chunks, 2), _ABSENT, "<u8")
        self._digest = hashlib.sha256()
        self._file = path.open("xb", buffering=0)

    def add(self, position: int, values: np.ndarray) -> None:
        """Appends one inner chunk; `values` is C-contiguous, in stored type and full chunk shape."""
        self.add_stored(position, self._encode(values))

    def add_stored(self, position: int, data: memoryview) -> None:
        """Appends the bytes of one inner chunk that is encoded already."""
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

    def __init__(
        self, place: str, size: int, chunks: int, codec: ChunkCodec, read: ReadRange, at_once: int = NEAR_READ
    ) -> None:
        """Reads the index of an object of `size` bytes with room for `chunks` chunks of a codec.

        Chunks that lie next to each other are read `at_once` up to so many bytes. Raises `CorruptCache` where the index
        is not whole or says what no writer would.
        """
        self.place, self.size, self.codec = place, size, codec
        self._read, self._at_once = read, at_once
        start = size - index_size(chunks)
        if start < 0:
            raise CorruptCache(f"{place} has {size} bytes, too few for its index; extract the shard again")
        footer = bytes(read(start, size))
        if len(footer) != size - start or checksum(footer[:-_CHECKSUM]) != footer[-_CHECKSUM:]:
            raise CorruptCache(f"the index of {place} fails its checksum; restore it or extract the shard again")
        self.index = np.frombuffer(footer[:-_CHECKSUM], "<u8").reshape(chunks, 2)
        offsets, lengths = self.index[self.index[:, 0] != _ABSENT].T
        shortest, longest = codec.shortest + _CHECKSUM, codec.longest + _CHECKSUM
        is_sound = ((lengths >= shortest) & (lengths <= longest) & (offsets <= start)).all()
        # No sum of the two: near 2**64 it would wrap around and look small.
        if not is_sound or (lengths > np.uint64(start) - offsets).any():
            raise CorruptCache(f"the index of {place} points past its data; restore it or extract the shard again")
        self._spans: list[tuple[int, int]] = list(map(tuple, self.index.tolist()))  # an array is slow to look into

    def has(self, position: int) -> bool:
        return self._spans[position][0] != int(_ABSENT)

    @property
    def written(self) -> list[int]:
        """Positions of the chunks that are there, in the order in which they were written."""
        present = np.flatnonzero(self.index[:, 0] != _ABSENT)
        return [int(position) for position in present[np.argsort(self.index[present, 0], kind="stable")]]

    def stored(self, start: int, stop: int) -> memoryview:
        """Returns bytes [start, stop) of the object as they are, after checking each chunk that lies wholly in them.

        Raises `CorruptCache` where one fails its checksum or cannot be decoded, and where the object has become
        shorter or has vanished.
        """
        try:
            data = memoryview(self._read(start, stop))
        except FileNotFoundError:
            data = memoryview(b"")
        if len(data) != stop - start:
            raise CorruptCache(f"{self.place} ends before its {self.size} bytes; restore it or extract the shard again")
        offsets, lengths = self.index.astype(np.int64).T  # -1 where absent
        for position in np.flatnonzero((offsets >= start) & (offsets + lengths <= stop)):
            first = int(offsets[position]) - start
            chunk = self._checked(int(position), data[first : first + int(lengths[position])])
            if not self.codec.is_plain:  # whoever gets it would decode it without a sentence for what cannot be
                self._decode(int(position), chunk, _scratch(self.codec.size))
        return data

    def chunk(self, position: int) -> memoryview:
        """Returns the bytes of one inner chunk. Raises `CorruptCache` where it is absent or not as it was written."""
        return next(self.chunks([position]))

    def chunks(self, positions: Sequence[int]) -> Iterator[memoryview]:
        """Yields the bytes of inner chunks; those that lie next to each other are read at once.

        Raises `CorruptCache` where one is absent or not as it was written.
        """
        for run in self._runs(positions):
            first, stop = self._span_of(run[0])[0], sum(self._span_of(run[-1]))
            data = memoryview(self._read(first, stop))
            for position in run:
                offset, length = self._span_of(position)
                stored = self._checked(position, data[offset - first : offset - first + length])
                yield stored if self.codec.is_plain else self._decoded(position, stored)

    def chunks_into(self, positions: Sequence[int], outs: Sequence[memoryview], fill: Fill, *, check: bool) -> None:
        """Reads inner chunks, each into a buffer of just its bytes; those next to each other are read at once.

        Without `check` no checksum is verified, only numbers of bytes are.
        """
        buffers = dict(zip(positions, outs, strict=True))
        for run in self._runs(positions):
            spans = list(map(self._span_of, run))
            stored = self._filled(run, spans, buffers, fill)
            for position, (data, expected) in zip(run, stored, strict=True):
                if check and checksum(data) != bytes(expected):
                    raise self._damaged(position)
                if not self.codec.is_plain:
                    self._decode(position, data, buffers[position])

    def _filled(
        self,
        run: Sequence[int],
        spans: Sequence[tuple[int, int]],
        buffers: Mapping[int, memoryview],
        fill: Fill,
    ) -> list[tuple[memoryview, memoryview]]:
        """Reads neighbouring chunks and returns the stored bytes and the checksum of each.

        Plain ones go straight into their buffers, others into memory of this thread that is used again.
        """
        plain = self.codec.is_plain
        scratch = _scratch(sum(_CHECKSUM if plain else length for _, length in spans))
        parts, start = [], 0
        for position, (_, length) in zip(run, spans, strict=True):
            inner = 0 if plain else length - _CHECKSUM
            data = buffers[position] if plain else scratch[start : start + inner]
            parts.append((data, scratch[start + inner : start + inner + _CHECKSUM]))
            start += inner + _CHECKSUM
        wanted = [part for pair in parts for part in pair] if plain else [scratch]
        if fill(spans[0][0], wanted) != sum(length for _, length in spans):
            raise self._damaged(run[-1])
        return parts

    def _runs(self, positions: Sequence[int]) -> Iterator[list[int]]:
        """Yields positions, in the given order, in groups that lie one after another and are worth one read."""
        run: list[int] = []
        size = 0
        for position in positions:
            offset, length = self._span_of(position)
            if run and (
                offset != sum(self._span_of(run[-1])) or size + length > self._at_once or len(run) == _MOST_CHUNKS
            ):
                yield run
                run, size = [], 0
            run.append(position)
            size += length
        if run:
            yield run

    def _span_of(self, position: int) -> tuple[int, int]:
        """Returns offset and length of a chunk with its checksum."""
        if not self.has(position):
            raise CorruptCache(f"chunk {position} of {self.place} is missing; restore it or extract the shard again")
        return self._spans[position]

    def _checked(self, position: int, data: memoryview) -> memoryview:
        """Returns the bytes of a stored chunk. Raises `CorruptCache` where they are not of their checksum."""
        length = self._span_of(position)[1]
        if len(data) != length or checksum(data[:-_CHECKSUM]) != bytes(data[-_CHECKSUM:]):
            raise self._damaged(position)
        return data[:-_CHECKSUM]

    def _decoded(self, position: int, stored: memoryview) -> memoryview:
        out = np.empty(self.codec.size, np.uint8).data
        self._decode(position, stored, out)
        return out

    def _decode(self, position: int, stored: memoryview, out: memoryview) -> None:
        """Decodes a chunk. Raises `CorruptCache` where its checksum is right and it is none of the codec."""
        try:
            self.codec.decode(stored, out)
        except ValueError as error:
            raise CorruptCache(
                f"chunk {position} of {self.place} is not of the codec {self.codec.name}: {error}; "
                "restore it or extract the shard again"
            ) from None

    def _damaged(self, position: int) -> CorruptCache:
        return CorruptCache(
            f"chunk {position} of {self.place} fails its checksum; restore it or extract the shard again"
        )


_memory = threading.local()


def _scratch(size: int) -> memoryview:
    """Returns memory of this thread that is used again: new memory comes at a fraction of the speed."""
    held: np.ndarray | None = getattr(_memory, "held", None)
    if held is None or len(held) < size:
        held = _memory.held = np.empty(size, np.uint8)
    return held.data[:size]
