"""How many bytes a cache takes, from its layout alone, and whether the disk has room for them.

Objects of inputs of one size are exact to the byte. Else they follow from the samples' records: of every
sample or, in a large dataset, of shards spread evenly over it.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from foresight_cache.encoders import Encoder
from foresight_cache.errors import BadSample, CacheError
from foresight_cache.extraction.inputs import InputSpec
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit
from foresight_cache.format.layout import CacheLayout, PointLayout
from foresight_cache.format.metadata import metadata
from foresight_cache.format.shard_object import checksum, index_size
from foresight_cache.runtime.progress import format_bytes
from foresight_cache.samples import Grid, Sample
from foresight_cache.shards import ShardSet
from foresight_cache.shards.headers import read_records

MOST_RECORDS = 8192
"""Records that are read to learn native sizes; their mean is then known to well under a percent."""
_ROW = 160
"""Bytes of a row of the sample table beside the sample's own record: status, reason, grids."""
_ENTRY = 512
"""Bytes of what a commit says of itself and of each of its objects."""
_FOLDERS = 2
"""Folders that an object's key makes, a block each on many filesystems."""


class TokenCounts(NamedTuple):
    """Of one sample, by level."""

    pixel: int
    patch: int
    merged: int

    @classmethod
    def of(cls, grids: Mapping[str, Grid]) -> Self:
        return cls(**{level: grids[level].tokens for level in cls._fields})

    @property
    def pooled(self) -> int:
        return layout.POOLED_GRID.tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What the records say of a dataset's inputs."""

    sizes: Mapping[int, Counter[TokenCounts]]
    """Per shard, of all or of some, how many samples have how many tokens."""
    record_bytes: float
    """Mean bytes of a sample's record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceNeeded:
    """Bytes that an extraction has still to write."""

    objects: Mapping[str, int]
    """Of shard objects, by point."""
    records: int
    """Of commits and metadata, about."""
    on_disk: int
    """Of all, with files in whole blocks of the filesystem."""

    @property
    def bytes(self) -> int:
        """Of objects and records together."""
        return sum(self.objects.values()) + self.records


@dataclass(frozen=True, kw_only=True, slots=True)
class FreeSpace:
    """What the disk of a place has left."""

    folder: Path
    """The nearest folder that exists."""
    free: int | None
    """Bytes that this user may still write; None where the filesystem does not tell."""
    block: int
    """Bytes of a block of the filesystem."""


def check_free_space(
    out: Path, shards: ShardSet, encoder: Encoder, rule: InputSpec, cache: CacheLayout, points: Sequence[str]
) -> None:
    """Raises `CacheError` where the disk of `out` cannot hold what is still to be written there; writes nothing."""
    lacking = missing_points(out, cache, points)
    if not lacking:
        return
    room = free_space_at(out)
    found = survey(shards, encoder, rule)
    need = space_needed(cache, object_sizes(cache, found), lacking, found.record_bytes, room.block)
    if room.free is not None and need.on_disk > room.free:
        raise CacheError(
            f"the cache at {out} needs {format_bytes(need.on_disk)} more and the disk of {room.folder} has "
            f"{format_bytes(room.free)} free; free {format_bytes(need.on_disk - room.free)} there, "
            "name another --out or keep fewer --points"
        )


def missing_points(out: Path, cache: CacheLayout, points: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """The shards that lack some of `points`, each with those. Raises `CorruptCache` for a damaged commit."""
    lacking = {}
    for number in range(len(cache.shards)):
        path = out / layout.commit_key(number)
        committed = Commit.from_json(path.read_bytes(), str(path)).objects if path.exists() else {}
        if left := tuple(point for point in points if point not in committed):
            lacking[number] = left
    return lacking


def survey(shards: ShardSet, encoder: Encoder, rule: InputSpec) -> Survey:
    """Reads headers of one tar or, where samples differ in size, the records of up to `MOST_RECORDS` samples; no media.

    A tar that cannot be read is passed over here; the extraction, which checks every byte, says what is wrong.
    """
    common = rule.common_grids(encoder, shards.media)
    count = 1 if common else max(1, MOST_RECORDS // shards.samples_per_shard)
    sizes, lengths = {}, [0]
    for number in _spread(len(shards.shards), count):
        try:
            records = read_records(shards, number)
            sizes[number] = _counted(records, encoder, rule)
        except (OSError, ValueError, RecursionError, BadSample):
            continue
        lengths += map(len, records)
    if common:
        alike = TokenCounts.of(common)
        sizes = {number: Counter({alike: len(shard.ids)}) for number, shard in enumerate(shards.shards)}
    return Survey(sizes=sizes, record_bytes=sum(lengths) / max(1, len(lengths) - 1))


def object_sizes(cache: CacheLayout, found: Survey) -> dict[str, list[int]]:
    """Bytes of each shard's object, by point; of a shard that was not surveyed, by the mean of the others."""
    return {name: _object_sizes(cache, point, _chunk_bytes(point, found)) for name, point in cache.points.items()}


def mean_tokens(point: PointLayout, found: Survey) -> float:
    """Tokens of a sample of mean size at a point; 0 where no size is known."""
    sizes = sum(found.sizes.values(), Counter[TokenCounts]())
    total: int = sum(count * getattr(each, point.level) for each, count in sizes.items())
    return total / max(1, sizes.total())


def space_needed(
    cache: CacheLayout,
    sizes: Mapping[str, Sequence[int]],
    lacking: Mapping[int, Sequence[str]],
    record_bytes: float,
    block: int,
) -> SpaceNeeded:
    """What is left to write: objects of `sizes` for the shards in `lacking`, their commits, and the metadata.

    `block` is the filesystem's, in bytes.
    """
    objects = dict.fromkeys(cache.points, 0)
    if not lacking:
        return SpaceNeeded(objects=objects, records=0, on_disk=0)
    files = [len(data) for data in metadata(cache).values()]
    for number, points in lacking.items():
        for point in points:
            objects[point] += sizes[point][number]
        rows = round(cache.shards[number].samples * (record_bytes + _ROW))
        files.append(rows + _ENTRY * (1 + len(cache.points)))
    written = [sizes[point][number] for number, points in lacking.items() for point in points]
    blocks = sum(-(-size // block) for size in [*files, *written]) + _FOLDERS * len(written)
    return SpaceNeeded(objects=objects, records=sum(files), on_disk=blocks * block)


def free_space_at(out: Path) -> FreeSpace:
    """What is free where a cache is or would be.

    Bytes of shards that are being written there count as free: they are part of what is still needed, or left by a
    killed process and swept at the next start.
    """
    folder = nearest_folder(out)
    status = os.statvfs(folder)
    block = status.f_frsize or status.f_bsize or 1
    free = status.f_bavail * block + _under_way(out / layout.PARTIAL)
    return FreeSpace(folder=folder, free=free if status.f_blocks else None, block=block)


def nearest_folder(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists.

    >>> str(nearest_folder(Path("/no/such/folder")))
    '/'
    """
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _chunk_bytes(point: PointLayout, found: Survey) -> dict[int, int]:
    """Bytes of all chunks of each surveyed shard, with their checksums and without the object's index."""
    step = point.tokens_per_chunk
    chunk = step * point.width * point.numpy_dtype.itemsize + len(checksum(b""))
    return {
        number: sum(samples * -(-getattr(each, point.level) // step) for each, samples in sizes.items()) * chunk
        for number, sizes in found.sizes.items()
    }


def _object_sizes(cache: CacheLayout, point: PointLayout, chunks: Mapping[int, int]) -> list[int]:
    index = index_size(cache.samples_per_shard * point.chunks_per_sample)
    counted = sum(cache.shards[number].samples for number in chunks)
    mean = sum(chunks.values()) / max(1, counted)
    return [
        index + (chunks[number] if number in chunks else round(mean * shard.samples))
        for number, shard in enumerate(cache.shards)
    ]


def _spread(length: int, count: int) -> list[int]:
    """Up to `count` of the numbers below `length`, evenly over all.

    >>> _spread(3, 8), _spread(100, 3), _spread(100, 1)
    ([0, 1, 2], [0, 50, 99], [0])
    """
    count = min(count, length)
    return [round(place * (length - 1) / max(1, count - 1)) for place in range(count)]


def _counted(records: Sequence[bytes], encoder: Encoder, rule: InputSpec) -> Counter[TokenCounts]:
    """Tokens of the samples; of those that the model cannot take there will be nothing."""
    found: Counter[TokenCounts] = Counter()
    for record in records:
        sample = Sample.from_json(json.loads(record))
        try:
            found[TokenCounts.of(rule.grids(encoder, sample))] += 1
        except BadSample:
            continue
    return found


def _under_way(partial: Path) -> int:
    """Bytes on disk under a folder; files may vanish meanwhile."""
    total = 0
    for folder, _, names in os.walk(partial):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
