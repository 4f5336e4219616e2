"""The writer of a cache: it creates or joins one, writes shards whole, and commits each with its sample rows.

The order is the protocol: the root comes first, a shard's objects next, and last of all the shard's part of the sample
table. A shard without that part does not exist for a reader. Nothing that is whole is ever overwritten: an object that
is there already is adopted, and a commit that is there gets what it lacks. So any number of processes may do the same.
"""

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.format import layout
from foresight_cache.format.adoption import adopted
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.committed_shards import all_committed, committed
from foresight_cache.format.feature_statistics import FeatureStatistics
from foresight_cache.format.layout import CacheLayout
from foresight_cache.format.merging import is_joined, join, merged_layout, united
from foresight_cache.format.shard_object import ShardObjectWriter
from foresight_cache.format.stores import WritableStore, open_writable
from foresight_cache.format.stores.writable import Claim
from foresight_cache.runtime.renewal import Renewal

_POLL_SECONDS = 0.5
"""Seconds between two looks of a process that has nothing left to claim at whether the others are done."""
_AT_ONCE = 8
"""Objects of a shard that are put side by side."""
_TRIES = 100
"""Times that somebody else may change an object just when it is looked at."""


@dataclass(frozen=True, slots=True)
class PendingShard:
    """A shard of which some points are not committed yet, claimed by this process."""

    number: int
    points: tuple[str, ...]


class CacheWriter:
    """One of any number of processes that write a cache; they share out the shards.

    A context manager: leaving it gives back what was claimed and not committed.
    """

    def __init__(
        self, place: str | os.PathLike[str] | WritableStore, wanted: CacheLayout, merged: CacheLayout | None = None
    ) -> None:
        """Creates the cache, or joins one of the same fingerprint and adds the points and shards that it lacks.

        `merged` is `merged_layout(store, wanted)` where that is known already. Raises `NotACache`, `UnsupportedFormat`
        and `FingerprintMismatch`; then nothing was changed.
        """
        self.store = open_writable(place) if isinstance(place, str | os.PathLike) else place
        merged = merged or merged_layout(self.store, wanted)  # refused before anything is touched
        self._claims = _Claims(self.store)
        self._whole: set[tuple[int, tuple[str, ...]]] = set()
        self._listed: Mapping[str, int] | None = None
        self._began = False
        self.store.sweep()
        if not is_joined(self.store, merged):
            self._begin()
            merged = join(self.store, wanted, merged)
        self.layout = replace(merged, shards=wanted.shards)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._claims.close()

    def pending(
        self, points: Sequence[str], shards: Iterable[int] | None = None, *, exclusive: bool = True
    ) -> Iterator[PendingShard]:
        """Claims, one by one, the shards that lack some of `points` and that no other process has; all, or of these.

        With `exclusive` false also those that another process has, which may hang: both then write the same.
        """
        if self._listed is None:
            self._look(points)
        for number in range(len(self.layout.shards)) if shards is None else shards:
            if self._missing(number, points) and self._begin() and self._claims.take(number, exclusive=exclusive):
                if missing := self._missing(number, points):  # its last holder may have committed it
                    yield PendingShard(number, missing)
                else:
                    self._claims.give_back(number)

    def wait_for_others(self, points: Sequence[str], shards: Iterable[int] | None = None) -> bool:
        """Tells whether shards are missing that other processes have; if so, after a moment, for another look."""
        if next(self.missing_shards(points, shards), None) is not None:
            time.sleep(_POLL_SECONDS)
            return True
        return False

    def missing_shards(self, points: Sequence[str], shards: Iterable[int] | None = None) -> Iterator[int]:
        """Yields the numbers of the shards that lack some of `points`, whoever has them; of all, or of these."""
        numbers = range(len(self.layout.shards)) if shards is None else shards
        return (number for number in numbers if self._missing(number, points))

    @contextmanager
    def shard(self, pending: PendingShard) -> Iterator["ShardWriter"]:
        """Writes one shard; leaving without `commit`, for whatever reason, leaves nothing behind."""
        try:
            with closing(ShardWriter(self.store, self.layout, pending, self._claims[pending.number])) as writer:
                yield writer
        finally:
            self._claims.give_back(pending.number)

    def _look(self, points: Sequence[str]) -> None:
        """Finds the shards that are whole, all at once: a store that is far away takes its time for each request."""
        self._listed = self.store.sizes()
        names = {key.removeprefix(f"{layout.SAMPLES}/") for key in self._listed}
        for number, commit in all_committed(self.store, self.layout, names).items():
            keys = {layout.object_key(point, number): commit.objects.get(point, {}).get("bytes") for point in points}
            if all(size is not None and self._listed.get(key) == size for key, size in keys.items()):
                self._whole.add((number, tuple(points)))

    def _begin(self) -> bool:
        """Returns True once it is known that the store can be written, before the first of it is."""
        if not self._began:
            self.store.check_writable()
            self._began = True
        return True

    def _missing(self, number: int, points: Sequence[str]) -> tuple[str, ...]:
        """Returns the points that are not committed, or whose object has vanished or lost its end since."""
        if (whole := (number, tuple(points))) in self._whole:
            return ()
        commit = committed(self.store, self.layout, number)
        entries = commit.objects if commit else {}
        missing = tuple(
            point
            for point in points
            if point not in entries or not self._has(layout.object_key(point, number), entries[point]["bytes"])
        )
        if not missing:
            self._whole.add(whole)
        return missing

    def _has(self, key: str, size: int) -> bool:
        if self._listed and self._listed.get(key) == size:
            return True
        try:
            return self.store.ranges(key)[0] == size
        except (FileNotFoundError, NotADirectoryError):
            return False


class _Claims:
    """The claims of one writer on its shards, renewed as long as it lives."""

    def __init__(self, store: WritableStore) -> None:
        self._store = store
        self._held: dict[int, Claim] = {}
        self._renewal = Renewal()

    def __getitem__(self, number: int) -> Claim:
        return self._held[number]

    def take(self, number: int, *, exclusive: bool) -> bool:
        """Claims a shard, or an attempt of its own at it; False where another process has what it claims."""
        name = f"{number:06d}"
        held = self._store.claim(name if exclusive else f"{name}-{secrets.token_hex(4)}")
        if held is None:
            return False
        self._held[number] = held
        self._renewal.add(held)
        return True

    def give_back(self, number: int) -> None:
        if held := self._held.pop(number, None):
            self._renewal.remove(held)
            held.release()

    def close(self) -> None:
        """Gives back all claims."""
        self._renewal.close()
        for number in list(self._held):
            self.give_back(number)


class ShardWriter:
    """One shard of every point that it lacks, from the first sample to the commit."""

    def __init__(self, store: WritableStore, cache: CacheLayout, pending: PendingShard, claim: Claim) -> None:
        self._store, self._cache, self._pending = store, cache, pending
        self._statistics = FeatureStatistics()
        self._objects = {
            point: ShardObjectWriter(
                claim.scratch / point,
                chunks=cache.samples_per_shard * cache.points[point].chunks_per_sample,
                encode=cache.points[point].chunk_codec.encode,
            )
            for point in pending.points
        }

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return sum(writer.size for writer in self._objects.values())

    def add(self, position: int, point: str, tokens_ND: np.ndarray) -> None:
        """Appends one sample's tokens [N, D] of one point; `position` counts samples in the shard from 0."""
        shape = self._cache.points[point]
        if tokens_ND.shape[0] > shape.tokens or tokens_ND.shape[1] != shape.width:
            raise ValueError(f"{point}: tokens {tokens_ND.shape} do not fit [{shape.tokens}, {shape.width}]")
        if shape.level != "pixel":
            self._statistics.add(position, point, tokens_ND)
        bits_ND = np.ascontiguousarray(tokens_ND).view(layout.STORED_TYPES[shape.dtype])
        step = shape.tokens_per_chunk
        for number, start in enumerate(range(0, len(bits_ND), step)):
            chunk = bits_ND[start : start + step]
            if len(chunk) < step:
                chunk = np.concatenate([chunk, np.zeros((step - len(chunk), shape.width), chunk.dtype)])
            self._objects[point].add(position * shape.chunks_per_sample + number, chunk)

    def add_chunk(self, point: str, position: int, values: np.ndarray) -> None:
        """Appends one inner chunk [numbers] of the stored type, of which the statistics are known.

        Raises `CacheError` where its codec does not give the same bytes back.
        """
        codec = self._cache.points[point].chunk_codec
        stored, again = codec.encode(values), np.empty(values.nbytes, np.uint8)
        codec.decode(stored, again.data)
        if (again != values.view(np.uint8)).any():
            raise CacheError(f"the codec {codec.name} changed numbers of {point}; try another version of numcodecs")
        self._objects[point].add_stored(position, stored)

    def commit(
        self,
        rows: Sequence[SampleRow],
        *,
        halved: int = 0,
        orders: Mapping[str, Mapping[str, float]] | None = None,
        known: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Makes the shard visible: every object under its final name, then the part with `rows`.

        `halved` is how many batches were computed in halves for lack of memory, `orders` has the scores of the order
        of tokens by point; `known` has entries of the same numbers in another commit, to be told instead of both. An
        object that another process has put is adopted: its entry follows from its bytes. Raises `ValueError` where a
        row or a good sample's tokens are missing, and `CacheError` where what is there is not of the same samples.
        """
        self._check_whole(rows)
        digests = {point: writer.finish() for point, writer in self._objects.items()}
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found = dict(zip(digests, threads.map(lambda point: self._put(point, rows), digests), strict=True))
        halvings = {"halved": halved} if halved else {}
        entries: dict[str, Mapping[str, Any]] = {}
        for point, digest in digests.items():
            order = {"order": orders[point]} if orders and point in orders else {}
            own = {"sha256": digest, "bytes": self._objects[point].size, **halvings}
            told = {name: value for name, value in (known or {}).get(point, {}).items() if name not in own}
            told = told or {"statistics": self._statistics.result(point)}
            entries[point] = (found[point] or own | told) | order
        self._seal(
            Commit(
                shard=self._pending.number,
                fingerprint_sha256=self._cache.digest,
                source_sha256=self._cache.shards[self._pending.number].sha256,
                objects=entries,
                rows=tuple(rows),
            )
        )

    def _put(self, point: str, rows: Sequence[SampleRow]) -> dict[str, Any] | None:
        """Puts an object, unless another one is there that is whole: then it returns that one's entry."""
        key, path = layout.object_key(point, self._pending.number), self._objects[point].path
        for _ in range(_TRIES):
            if self._store.create(key, path):
                return None
            try:
                tag = self._store.tag(key)
                return self._adopted(point, rows)
            except FileNotFoundError:
                continue  # somebody has removed it meanwhile
            except CorruptCache:  # a copy of the cache was interrupted, or a disk has lost what it held
                if self._store.replace(key, tag, path):
                    return None
        raise CacheError(f"{self._store.place}/{key} keeps changing; let one program write there and run this again")

    def _adopted(self, point: str, rows: Sequence[SampleRow]) -> dict[str, Any]:
        return adopted(self._store, self._cache, point, self._pending.number, rows)

    def _seal(self, mine: Commit) -> None:
        """Writes the commit, or adds to the one that is there what it lacks."""
        key = layout.commit_key(self._pending.number)
        for _ in range(_TRIES):
            theirs = committed(self._store, self._cache, self._pending.number)
            if theirs is None:
                if self._store.create(key, mine.to_json()):
                    return
                continue
            both = united(self._without_replaced(theirs, mine), mine, f"{self._store.place}/{key}").to_json()
            if both == theirs.to_json() or self._store.swap(key, theirs.to_json(), both):
                return
        raise CacheError(f"{self._store.place}/{key} keeps changing; let one program write there and run this again")

    def _without_replaced(self, theirs: Commit, mine: Commit) -> Commit:
        """Returns their commit without the entries of objects that are not there any more, as one that was damaged."""
        kept = {
            point: entry
            for point, entry in theirs.objects.items()
            if point not in mine.objects
            or entry["sha256"] == mine.objects[point]["sha256"]
            or self._adopted(point, mine.rows)["sha256"] == entry["sha256"]
        }
        return replace(theirs, objects=kept)

    def _check_whole(self, rows: Sequence[SampleRow]) -> None:
        expected = self._cache.shards[self._pending.number].samples
        if len(rows) != expected:
            raise ValueError(f"shard {self._pending.number} has {len(rows)} of {expected} rows")
        good = [position for position, row in enumerate(rows) if row.status == "ok"]
        for point, writer in self._objects.items():
            step = self._cache.points[point].chunks_per_sample
            if missing := [position for position in good if not writer.has(position * step)]:
                raise ValueError(f"{point} of shard {self._pending.number} lacks the samples {missing}")

    def close(self) -> None:
        """Closes the files that were not committed; they go with the claim's scratch folder."""
        for writer in self._objects.values():
            writer.close()
