"""Objects that other writers have put: what a commit says of them follows from their own bytes."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.committed_object import Ranged, open_committed, used_chunks
from foresight_cache.format.feature_statistics import FeatureStatistics
from foresight_cache.format.layout import CacheLayout, PointLayout, object_key
from foresight_cache.format.shard_object import ShardObjectReader, index_size

_BLOCK = 1 << 24


def adopted(store: Ranged, cache: CacheLayout, name: str, shard: int, rows: Sequence[SampleRow]) -> dict[str, Any]:
    """Returns the entry of a commit for a point's object that is there: its `sha256`, `bytes` and `statistics`.

    Every byte is read once, and checked. Raises `CorruptCache` where the object is missing or damaged, as a copy that
    was interrupted is, and `CacheError` where it is whole but not of the good samples of these `rows`.
    """
    key = object_key(name, shard)
    object_ = ReadOnce(store, key)
    reader = open_committed(object_, cache, name, shard, object_.size)
    _check_fits(reader, cache, name, rows)
    statistics = FeatureStatistics()
    point = cache.points[name]
    offsets = {position: int(reader.index[position * point.chunks_per_sample, 0]) for position in _good(rows)}
    for position in sorted(offsets, key=offsets.__getitem__):
        tokens_ND = _tokens(reader, point, position, rows[position])
        if point.level != "pixel":
            statistics.add(position, name, tokens_ND)
    return {"sha256": object_.digest(), "bytes": object_.size, "statistics": statistics.result(name)}


class ReadOnce:
    """An object whose bytes are read from its start to its end, and hashed on the way; its index is read besides."""

    def __init__(self, store: Ranged, key: str) -> None:
        self.place = store.place
        try:
            self.size, self._read = store.ranges(key)
        except FileNotFoundError:
            raise CorruptCache(f"{store.place}/{key} has vanished; run the same command again") from None
        self._digest = hashlib.sha256()
        self._start, self._block = 0, b""

    def ranges(self, _key: str) -> tuple[int, Callable[[int, int], Any]]:
        return self.size, self._range

    def digest(self) -> str:
        """Returns the SHA-256 of all bytes, of which the last ones are read now."""
        while self._stop < self.size:
            self._more(self._stop)
        return self._digest.hexdigest()

    @property
    def _stop(self) -> int:
        return self._start + len(self._block)

    def _range(self, start: int, stop: int) -> Any:
        if start < self._start or stop == self.size:
            return self._read(start, stop)
        while self._stop < stop and self._stop < self.size:
            self._more(start)
        return self._block[start - self._start : stop - self._start]

    def _more(self, start: int) -> None:
        """Reads the next bytes, and forgets those before `start`."""
        new = bytes(self._read(self._stop, min(self._stop + _BLOCK, self.size)))
        if not new:
            raise CorruptCache(f"an object of {self.place} ends before its {self.size} bytes; run the command again")
        self._digest.update(new)
        kept = self._block[max(0, start - self._start) :]
        self._start, self._block = self._stop - len(kept), kept + new


def _check_fits(reader: ShardObjectReader, cache: CacheLayout, name: str, rows: Sequence[SampleRow]) -> None:
    """Raises `CacheError` unless just the chunks of the good samples are there, without a gap between them."""
    point = cache.points[name]
    expected = np.zeros(len(reader.index), bool)
    for position in _good(rows):
        first = position * point.chunks_per_sample
        expected[first : first + used_chunks(rows[position], point)] = True
    present = np.array([reader.has(position) for position in range(len(reader.index))])
    if (present != expected).any():
        sample = int(np.flatnonzero(present != expected)[0]) // point.chunks_per_sample
        which = rows[sample].sample.id if sample < len(rows) else f"number {sample}"
        raise CacheError(
            f"{reader.place} is there without a commit and has other samples than were computed here, the first one "
            f"{which}; its inputs were decoded otherwise; remove it and run the same command again"
        )
    if int(reader.index[present, 1].sum()) + index_size(len(reader.index)) != reader.size:
        raise CorruptCache(f"{reader.place} has bytes that are of no sample; remove it and run the same command again")


def _tokens(reader: ShardObjectReader, point: PointLayout, position: int, row: SampleRow) -> np.ndarray:
    """Returns the tokens [N, D] of one sample, each chunk checked, without what fills up the last one."""
    first = position * point.chunks_per_sample
    chunks = [np.frombuffer(reader.chunk(first + n), point.numpy_dtype) for n in range(used_chunks(row, point))]
    tokens = 1 if point.level == "pooled" else row.grids[point.level].tokens
    return np.concatenate(chunks).reshape(-1, point.width)[:tokens]


def _good(rows: Sequence[SampleRow]) -> list[int]:
    return [position for position, row in enumerate(rows) if row.status == "ok"]
