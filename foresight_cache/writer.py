"""The writer of a cache: it creates or joins one, writes shards whole, and commits each with its sample rows.

The order on disk is the protocol: a shard is claimed, its objects are written under `samples/.partial`, made
durable, renamed to their final names, and last of all the shard's part of the sample table is renamed into
place. A shard without that part does not exist for a reader.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from foresight_cache.errors import CorruptCache
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.feature_statistics import FeatureStatistics
from foresight_cache.format.layout import CacheLayout
from foresight_cache.format.merging import merged_layout
from foresight_cache.format.metadata import metadata
from foresight_cache.format.shard_object import ShardObjectWriter
from foresight_cache.runtime.claims import Claim, claim, sweep
from foresight_cache.runtime.durable_files import make_folder, publish, write_file

JOIN = "join"
"""The claim under which metadata is written."""
_POLL_SECONDS = 0.5
"""Seconds between two looks of a process that has nothing left to claim at whether the others are done."""


@dataclass(frozen=True, slots=True)
class PendingShard:
    """A shard of which some points are not committed yet, claimed by this process."""

    number: int
    points: tuple[str, ...]


class CacheWriter:
    """One of any number of processes that write a cache on a filesystem; each shard is written by one of them.

    A context manager: leaving it gives back what was claimed and not committed.
    """

    def __init__(self, root: Path, wanted: CacheLayout, merged: CacheLayout | None = None) -> None:
        """Creates the cache, or joins one of the same fingerprint and adds the points and shards that it lacks.

        `merged` is `merged_layout(root, wanted)` where that is known already. Raises `NotACache`, `UnsupportedFormat`
        and `FingerprintMismatch`; then nothing was changed.
        """
        self.root = root
        merged = merged or merged_layout(root, wanted)  # refused before anything is touched
        self._partial = root / layout.PARTIAL
        self._claims: dict[int, Claim] = {}
        sweep(self._partial)
        if _stale_metadata(root, merged):
            make_folder(root / layout.SAMPLES)
            with self._claimed(JOIN) as scratch:
                merged = merged_layout(root, wanted)  # again: another process may have grown the cache meanwhile
                for key, data in _stale_metadata(root, merged).items():
                    _write(root, key, data, scratch)
        self.layout = replace(merged, shards=wanted.shards)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._claims:
            self._claims.popitem()[1].release()

    def pending(self, points: Sequence[str]) -> Iterator[PendingShard]:
        """Claims, one by one, the shards that lack some of `points` and that no other process has."""
        for number in range(len(self.layout.shards)):
            if not self._missing(number, points):
                continue
            if held := claim(self._partial, f"{number:06d}"):
                self._claims[number] = held
                if missing := self._missing(number, points):  # its last holder may have committed it
                    yield PendingShard(number, missing)
                else:
                    self._claims.pop(number).release()

    def wait_for_others(self, points: Sequence[str]) -> bool:
        """Tells whether shards are missing that other processes have; if so, after a moment, for another look."""
        if any(self._missing(number, points) for number in range(len(self.layout.shards))):
            time.sleep(_POLL_SECONDS)
            return True
        return False

    @contextmanager
    def shard(self, pending: PendingShard) -> Iterator["ShardWriter"]:
        """Writes one shard; leaving without `commit`, for whatever reason, leaves nothing behind."""
        held = self._claims.pop(pending.number)
        try:
            with closing(
                ShardWriter(self.root, self.layout, pending, self._committed(pending.number), held.scratch)
            ) as writer:
                yield writer
        finally:
            held.release()

    @contextmanager
    def _claimed(self, name: str) -> Iterator[Path]:
        held = claim(self._partial, name, wait=True)
        assert held  # noqa: S101 - waiting ends with a claim
        try:
            yield held.scratch
        finally:
            held.release()

    def _missing(self, number: int, points: Sequence[str]) -> tuple[str, ...]:
        """Returns the points that are not committed, or whose object has vanished or lost its end since."""
        committed = self._committed(number)
        return tuple(
            point
            for point in points
            if committed is None
            or point not in committed.objects
            or _size(self.root / layout.object_key(point, number)) != committed.objects[point]["bytes"]
        )

    def _committed(self, number: int) -> Commit | None:
        path = self.root / (key := layout.commit_key(number))
        if not path.exists():
            return None
        commit = Commit.from_json(data := path.read_bytes(), str(path))
        commit.check_belongs(self.layout, key, str(path))
        if commit.to_json() != data:  # the same record, but the cache would not be that of one run
            raise CorruptCache(f"{path} is not spelled as it was written; remove it and extract the shard again")
        return commit


class ShardWriter:
    """One shard of every point that it lacks, from the first sample to the commit."""

    def __init__(
        self, root: Path, cache: CacheLayout, pending: PendingShard, earlier: Commit | None, scratch: Path
    ) -> None:
        self._root, self._cache, self._pending, self._earlier, self._scratch = root, cache, pending, earlier, scratch
        self._statistics = FeatureStatistics()
        self._objects = {
            point: ShardObjectWriter(
                scratch / point,
                chunks=cache.samples_per_shard * cache.points[point].chunks_per_sample,
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

    def commit(
        self, rows: Sequence[SampleRow], *, halved: int = 0, orders: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        """Makes the shard visible: every object under its final name, then the part with `rows`.

        `halved` is how many batches were computed in halves for lack of memory, `orders` has the scores of the order
        of tokens by point. Raises `ValueError` where a row or a
        good sample's tokens are missing.
        """
        self._check_whole(rows)
        records: dict[str, Mapping[str, Any]] = dict(self._earlier.objects) if self._earlier else {}
        halvings = {"halved": halved} if halved else {}
        for point, writer in self._objects.items():
            statistics = self._statistics.result(point)
            order = {"order": orders[point]} if orders and point in orders else {}
            digest = writer.finish()
            records[point] = {"sha256": digest, "bytes": writer.size, "statistics": statistics, **halvings, **order}
        for point, writer in self._objects.items():
            publish(writer.path, self._root / layout.object_key(point, self._pending.number))
        commit = Commit(
            shard=self._pending.number,
            fingerprint_sha256=self._cache.digest,
            source_sha256=self._cache.shards[self._pending.number].sha256,
            objects=records,
            rows=tuple(self._with_earlier_grids(rows)),
        )
        _write(self._root, layout.commit_key(self._pending.number), commit.to_json(), self._scratch)

    def _with_earlier_grids(self, rows: Sequence[SampleRow]) -> list[SampleRow]:
        """Returns the rows with grids that only the points that were committed before have, as of a prompt's tokens."""
        if self._earlier is None:
            return list(rows)
        return [
            replace(row, grids={**earlier.grids, **row.grids}) if row.status == "ok" else row
            for row, earlier in zip(rows, self._earlier.rows, strict=True)
        ]

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


def _write(root: Path, key: str, data: bytes, scratch: Path) -> None:
    """Writes an object whole or not at all, in the scratch folder of the claim under which it is written."""
    write_file(root / key, data, partial=scratch / key.replace("/", "-"))


def _stale_metadata(root: Path, cache: CacheLayout) -> dict[str, bytes]:
    """Returns what is to be written, by key."""
    return {key: data for key, data in metadata(cache).items() if not _holds(root / key, data)}


def _holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
