"""Writing a cache: create or join it, write shards whole, commit each with its part of the sample table.

The order on disk is the protocol: objects are written under `samples/.partial`, made durable, renamed to
their final names, and last of all the shard's part of the sample table is renamed into place. A shard
without that part does not exist for a reader.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from foresight_cache import layout
from foresight_cache.commits import Commit, SampleRow
from foresight_cache.errors import CacheBusy, FingerprintMismatch, NotACache
from foresight_cache.fingerprint import differences
from foresight_cache.layout import CacheLayout
from foresight_cache.points import computation_order
from foresight_cache.shard_object import ShardObjectWriter


@dataclass(frozen=True, slots=True)
class PendingShard:
    """A shard of which some points are not committed yet."""

    number: int
    points: tuple[str, ...]


class CacheWriter:
    """The one writer of a cache on a local filesystem; a context manager that holds the cache's lock."""

    def __init__(self, root: Path, wanted: CacheLayout) -> None:
        """Creates the cache, or joins one of the same fingerprint and adds the points that it lacks.

        Raises `NotACache`, `UnsupportedFormat`, `FingerprintMismatch`, `CacheBusy`; then nothing was changed.
        """
        self.root = root
        self._lock = _lock(root)
        try:
            self.layout = _join(root, wanted)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            shutil.rmtree(root / layout.PARTIAL, ignore_errors=True)
            _write_metadata(root, self.layout)
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        shutil.rmtree(self.root / layout.PARTIAL, ignore_errors=True)
        os.close(self._lock)

    def pending(self, points: Sequence[str]) -> Iterator[PendingShard]:
        """Shards that lack some of `points`, in order, each with those that it lacks."""
        for number in range(len(self.layout.shards)):
            committed = self._committed(number)
            missing = tuple(point for point in points if committed is None or point not in committed.objects)
            if missing:
                yield PendingShard(number, missing)

    @contextmanager
    def shard(self, pending: PendingShard) -> Iterator["ShardWriter"]:
        """Writes one shard; leaving without `commit`, for whatever reason, leaves nothing behind."""
        writer = ShardWriter(self.root, self.layout, pending, self._committed(pending.number))
        try:
            yield writer
        finally:
            writer.abandon()

    def _committed(self, number: int) -> Commit | None:
        path = self.root / layout.part_key(number)
        return Commit.from_json(path.read_bytes(), str(path)) if path.exists() else None


class ShardWriter:
    """One shard of every point that it lacks, from the first sample to the commit."""

    def __init__(self, root: Path, cache: CacheLayout, pending: PendingShard, earlier: Commit | None) -> None:
        self._root, self._cache, self._pending, self._earlier = root, cache, pending, earlier
        folder = root / layout.PARTIAL
        folder.mkdir(exist_ok=True)
        self._objects = {
            point: ShardObjectWriter(
                folder / f"{pending.number:06d}-{point}",
                chunks=cache.samples_per_shard * cache.points[point].chunks_per_sample,
            )
            for point in pending.points
        }

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return sum(writer.size for writer in self._objects.values())

    def add(self, position: int, point: str, tokens: np.ndarray) -> None:
        """Appends one sample's tokens [N, D] of one point; `position` is the sample's place in the shard."""
        shape = self._cache.points[point]
        if tokens.shape[0] > shape.tokens or tokens.shape[1] != shape.width:
            raise ValueError(f"{point}: tokens {tokens.shape} do not fit [{shape.tokens}, {shape.width}]")
        bits = np.ascontiguousarray(tokens).view(layout.STORED_TYPES[shape.dtype])
        step = shape.tokens_per_chunk
        for number, start in enumerate(range(0, len(bits), step)):
            chunk = bits[start : start + step]
            if len(chunk) < step:
                chunk = np.concatenate([chunk, np.zeros((step - len(chunk), shape.width), chunk.dtype)])
            self._objects[point].add(position * shape.chunks_per_sample + number, chunk)

    def commit(self, rows: Sequence[SampleRow]) -> None:
        """Makes the shard visible: every object under its final name, then the part with `rows`.

        Raises `ValueError` where a row or a good sample's tokens are missing.
        """
        self._check_whole(rows)
        records: dict[str, Mapping[str, Any]] = dict(self._earlier.objects) if self._earlier else {}
        for point, writer in self._objects.items():
            records[point] = {"sha256": writer.finish(), "bytes": writer.size}
        for point, writer in self._objects.items():
            _publish(writer.path, self._root / layout.object_key(point, self._pending.number))
        commit = Commit(
            shard=self._pending.number,
            fingerprint_sha256=self._cache.digest,
            source_sha256=self._cache.shards[self._pending.number].sha256,
            objects=records,
            rows=tuple(rows),
        )
        _write_atomically(self._root, layout.part_key(self._pending.number), commit.to_json())

    def _check_whole(self, rows: Sequence[SampleRow]) -> None:
        expected = self._cache.shards[self._pending.number].samples
        if len(rows) != expected:
            raise ValueError(f"shard {self._pending.number} has {len(rows)} of {expected} rows")
        good = [position for position, row in enumerate(rows) if row.status == "ok"]
        for point, writer in self._objects.items():
            step = self._cache.points[point].chunks_per_sample
            if missing := [position for position in good if not writer.has(position * step)]:
                raise ValueError(f"{point} of shard {self._pending.number} lacks the samples {missing}")

    def abandon(self) -> None:
        """Removes what is not committed."""
        for writer in self._objects.values():
            writer.abandon()


def _lock(root: Path) -> int:
    """Takes the cache's lock: on the directory itself, so that it leaves no file and dies with the process."""
    if not root.exists():
        root.mkdir(parents=True)
    elif not root.is_dir():
        raise NotACache(f"{root} is a file; name a new directory or an existing cache with --out")
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CacheBusy(f"another process is writing to {root}; wait for it or name another --out") from None
    return descriptor


def _join(root: Path, wanted: CacheLayout) -> CacheLayout:
    """The layout that the cache shall have. Raises `FingerprintMismatch` and `NotACache`."""
    path = root / layout.ROOT_KEY
    if not path.exists():
        if any(root.iterdir()):
            raise NotACache(f"{root} holds other files and no cache; name a new or empty directory with --out")
        return wanted
    stored = CacheLayout.from_root_json(path.read_bytes(), str(root))
    found = [
        *differences(stored.fingerprint, wanted.fingerprint),
        *_shard_differences(stored, wanted),
        *(
            phrase
            for name in stored.points.keys() & wanted.points.keys()
            for phrase in differences({name: asdict(stored.points[name])}, {name: asdict(wanted.points[name])})
        ),
    ]
    if found:
        raise FingerprintMismatch(
            f"{root} was made otherwise: {'; '.join(found)}; use the settings of the cache, or another --out"
        )
    points = {**stored.points, **wanted.points}
    return replace(stored, points={name: points[name] for name in sorted(points, key=computation_order)})


def _shard_differences(stored: CacheLayout, wanted: CacheLayout) -> list[str]:
    return differences(
        {"shards": {shard.name: shard.sha256 for shard in stored.shards}, "per_shard": stored.samples_per_shard},
        {"shards": {shard.name: shard.sha256 for shard in wanted.shards}, "per_shard": wanted.samples_per_shard},
    )


def _write_metadata(root: Path, cache: CacheLayout) -> None:
    """Writes what differs; the root last, because it names the arrays."""
    wanted = {layout.metadata_key(point): cache.array_json(point) for point in cache.points}
    wanted[f"{layout.SAMPLES}/zarr.json"] = layout.SAMPLES_GROUP_JSON
    wanted[layout.ROOT_KEY] = cache.root_json()
    for key, data in wanted.items():
        path = root / key
        if not path.exists() or path.read_bytes() != data:
            _write_atomically(root, key, data)


def _write_atomically(root: Path, key: str, data: bytes) -> None:
    folder = root / layout.PARTIAL
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / key.replace("/", "-")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _publish(temporary, root / key)


def _publish(temporary: Path, final: Path) -> None:
    """Renames a durable file to its final name and makes the name durable too."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary.rename(final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
