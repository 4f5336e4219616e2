"""A cache as a read-only `zarr.Group`, over the cache's own store and never with zeros for what is missing."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, Protocol

import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.abc.store import Store as ZarrStore
from zarr.core.buffer import Buffer, BufferPrototype

from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import open_committed, used_chunks
from foresight_cache.format.layout import CacheLayout, metadata_key, object_key
from foresight_cache.format.metadata import metadata
from foresight_cache.format.shard_object import ShardObjectReader
from foresight_cache.format.stores import Store


class ReadableCache(Protocol):
    """A cache, as far as Zarr's view needs it."""

    store: Store
    layout: CacheLayout

    @property
    def commits(self) -> tuple[Commit, ...]: ...

    @property
    def arrays(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class _Committed:
    """A shard object, as far as reading it needs its commit."""

    point: str
    shard: int
    size: int
    """Bytes."""
    chunks: tuple[int, ...]
    """Number of inner chunks of each sample of the shard."""


class CommittedStore(ZarrStore):
    """The committed objects of a cache as a Zarr store.

    Zarr reads a missing object as zeros; here it raises `CorruptCache`, as a damaged object does. Metadata are made
    from the cache's root, whose digest was checked, so that no other file can say otherwise.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, store: Store, layout: CacheLayout, objects: Sequence[_Committed], arrays: Sequence[str]) -> None:
        super().__init__(read_only=True)
        self._parts = (store, layout, objects, arrays)
        self._place = store.place
        self._objects = {object_key(stored.point, stored.shard): stored for stored in objects}
        self._unfinished = {metadata_key(name): name for name in layout.points if name not in arrays}
        self._metadata = {key: data for key, data in metadata(layout).items() if key not in self._unfinished}
        self._keys = [*self._metadata, *self._objects]
        self._open_object = lru_cache(maxsize=64)(self._opened)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CommittedStore) and self._described == other._described

    def __hash__(self) -> int:
        return hash(self._place)

    def __repr__(self) -> str:
        return f"<committed objects of {self._place}>"

    @property
    def _described(self) -> tuple[str, dict[str, bytes], dict[str, _Committed]]:
        return self._place, self._metadata, self._objects

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Returns bytes of an object, or None for a key that the cache does not have."""
        if name := self._unfinished.get(key):
            raise CacheError(
                f"the point {name} of {self._place} is not committed in every shard, and the others would read as "
                "zeros; run 'foresight extract' again to finish it"
            )
        if data := self._metadata.get(key):
            return prototype.buffer.from_bytes(data[slice(*_span(byte_range, len(data)))])
        if key in self._objects:
            return prototype.buffer.from_bytes(await asyncio.to_thread(self._read, key, byte_range))
        return None

    async def get_ranges(
        self, key: str, byte_ranges: Sequence[ByteRequest | None], *, prototype: BufferPrototype, **_limits: int
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Yields several parts of one object with their numbers; later versions of zarr than 3.1 ask for them.

        Without it they would show an error of `get` inside a group of exceptions.
        """
        parts = await asyncio.gather(*(self.get(key, prototype, byte_range) for byte_range in byte_ranges))
        yield list(enumerate(parts))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        return key in self._metadata or key in self._objects

    async def getsize(self, key: str) -> int:
        """Returns the bytes of an object without reading it. Raises `FileNotFoundError`."""
        if key in self._objects:
            return self._objects[key].size
        if key in self._metadata:
            return len(self._metadata[key])
        raise FileNotFoundError(key)

    async def list(self) -> AsyncIterator[str]:
        for key in self._keys:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yields the keys below a folder."""
        for key in self._below(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yields the names directly in a folder."""
        folder = _folder(prefix)
        for name in dict.fromkeys(key.removeprefix(folder).split("/")[0] for key in self._below(prefix)):
            yield name

    async def set(self, key: str, value: Buffer) -> None:  # noqa: ARG002 - Zarr's signature
        self._check_writable()

    async def delete(self, key: str) -> None:  # noqa: ARG002
        self._check_writable()

    async def delete_dir(self, prefix: str) -> None:  # noqa: ARG002
        self._check_writable()

    def with_read_only(self, read_only: bool = False) -> "CommittedStore":
        if not read_only:
            self._check_writable()
        return self

    def _check_writable(self) -> NoReturn:
        raise CacheError(f"{self._place} is read-only through Zarr; only 'foresight extract' adds to a cache")

    def _below(self, prefix: str) -> Iterator[str]:
        return (key for key in self._keys if key.startswith(_folder(prefix)))

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes:
        reader = self._open_object(key)
        return bytes(reader.stored(*_span(byte_range, reader.size)))

    def _opened(self, key: str) -> ShardObjectReader:
        store, layout, *_ = self._parts
        stored = self._objects[key]
        reader = open_committed(store, layout, stored.point, stored.shard, stored.size)
        per_sample = layout.points[stored.point].chunks_per_sample
        for position, chunks in enumerate(stored.chunks):
            first = position * per_sample
            if not all(map(reader.has, range(first, first + chunks))):
                raise CorruptCache(
                    f"{reader.place} has no tokens of sample {position} of its shard; "
                    "restore it or extract the shard again"
                )
        return reader


def zarr_group(cache: ReadableCache) -> zarr.Group:
    """Returns the group of a cache whose shards are all committed."""
    objects = [
        _Committed(
            point=name,
            shard=commit.shard,
            size=commit.objects[name]["bytes"],
            chunks=tuple(used_chunks(row, cache.layout.points[name]) for row in commit.rows),
        )
        for name in cache.arrays
        for commit in cache.commits
    ]
    store = CommittedStore(cache.store, cache.layout, objects, cache.arrays)
    return zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)


def zarr_array(group: zarr.Group, name: str) -> "zarr.Array[Any]":
    """Returns the array of a point of a cache's group."""
    return zarr.open_array(group.store, path=name, mode="r", zarr_format=3)


def _folder(prefix: str) -> str:
    """
    >>> _folder("vit.post_merge"), _folder("vit.post_merge/"), _folder("")
    ('vit.post_merge/', 'vit.post_merge/', '')
    """
    return f"{prefix.rstrip('/')}/" if prefix else ""


def _span(byte_range: ByteRequest | None, size: int) -> tuple[int, int]:
    """Returns the first and the last byte plus one that a request means in an object of `size` bytes."""
    match byte_range:
        case RangeByteRequest(start, stop):
            return min(start, size), min(stop, size)
        case OffsetByteRequest(offset):
            return min(offset, size), size
        case SuffixByteRequest(suffix):
            return max(0, size - suffix), size
    return 0, size
