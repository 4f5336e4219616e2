"""Opens the shard objects that commits list, and says which of their chunks must be there."""

from collections.abc import Callable
from typing import Any, Protocol

from foresight_cache.errors import CorruptCache
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.layout import POOLED_GRID, CacheLayout, PointLayout, object_key
from foresight_cache.format.shard_object import NEAR_READ, ShardObjectReader, checksum, index_size


class Ranged(Protocol):
    """As much of a store as it takes to read objects in parts."""

    place: str

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]: ...


def open_committed(
    store: Ranged, cache: CacheLayout, name: str, shard: int, size: int, at_once: int = NEAR_READ
) -> ShardObjectReader:
    """Opens a point's object of a shard, of which `size` bytes were committed, and verifies size and index.

    Neighbouring chunks are read `at_once` up to so many bytes. Raises `CorruptCache` where it is missing or damaged.
    """
    key = object_key(name, shard)
    place = f"{store.place}/{key}"
    try:
        present, read = store.ranges(key)
    except FileNotFoundError:
        raise CorruptCache(f"{place} is missing although its shard is committed; extract the shard again") from None
    if present != size:
        raise CorruptCache(f"{place} has {present} bytes, {size} were committed; extract the shard again")
    point = cache.points[name]
    chunks = cache.samples_per_shard * point.chunks_per_sample
    return ShardObjectReader(place, size, chunks, point.chunk_codec, read, at_once)


def raw_size(commit: Commit, cache: CacheLayout, name: str) -> int:
    """Returns the bytes that a point's object of a shard has, or would have without its codec."""
    point = cache.points[name]
    used = sum(used_chunks(row, point) for row in commit.rows)
    index = index_size(cache.samples_per_shard * point.chunks_per_sample)
    return used * (point.chunk_bytes + len(checksum(b""))) + index


def used_chunks(row: SampleRow, point: PointLayout) -> int:
    """Returns how many inner chunks a sample has at a point: none where it is quarantined."""
    if row.status == "bad":
        return 0
    grid = POOLED_GRID if point.level == "pooled" else row.grids[point.level]
    return -(-grid.tokens // point.tokens_per_chunk)
