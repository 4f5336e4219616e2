"""Bytes that a cache takes, from its layout alone.

Objects of inputs of one size are exact to the byte. Else they follow from the samples' records: of every
sample or, in a large dataset, of shards spread evenly over it. What a codec saves is estimated.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from foresight_cache.errors import BadSample
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.format.layout import POOLED_GRID, TOKENS_PER_CHUNK, CacheLayout, Level, PointLayout
from foresight_cache.format.metadata import metadata
from foresight_cache.format.shard_object import checksum, index_size
from foresight_cache.samples import Grid, Sample
from foresight_cache.shards import ShardSet
from foresight_cache.shards.tar_headers import read_records

MOST_RECORDS = 8192
"""Records that are read to learn native sizes; their mean is then known to well under a percent."""
_ROW = 160
"""Bytes of a row of the sample table beside the sample's own record: status, reason, grids."""
_ENTRY = 512
"""Bytes of what a commit says of itself and of each of its objects."""
_FOLDERS = 2
"""Folders that an object's key makes, a block each on many filesystems."""


class TokenCounts(NamedTuple):
    """Numbers of tokens of one sample on the levels that have a grid."""

    pixel: int
    patch: int
    merged: int

    @classmethod
    def of(cls, grids: Mapping[str, Grid]) -> Self:
        """Returns the counts of a sample with these grids."""
        return cls(pixel=grids["pixel"].tokens, patch=grids["patch"].tokens, merged=grids["merged"].tokens)

    def on(self, level: Level) -> int:
        """Returns the number of tokens on a level.

        >>> TokenCounts(pixel=9, patch=4, merged=1).on("patch"), TokenCounts(pixel=9, patch=4, merged=1).on("pooled")
        (4, 1)
        """
        counts = {"pixel": self.pixel, "patch": self.patch, "merged": self.merged, "pooled": POOLED_GRID.tokens}
        return counts.get(
            level, TOKENS_PER_CHUNK
        )  # most prompts fit in one chunk, and no record says how long they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """Sizes of a dataset's inputs, as the samples' records have them."""

    sizes: Mapping[int, Counter[TokenCounts]]
    """By shard, of all shards or of some, how many samples have how many tokens."""
    record_bytes: float
    """Mean bytes of a sample's record."""

    def mean_tokens(self, point: PointLayout) -> float:
        """Returns the tokens that a sample of mean size has at a point; 0 where no size is known."""
        sizes = sum(self.sizes.values(), Counter[TokenCounts]())
        total = sum(samples * counts.on(point.level) for counts, samples in sizes.items())
        return total / max(1, sizes.total())


@dataclass(frozen=True, kw_only=True, slots=True)
class SpaceNeeded:
    """Bytes that an extraction has still to write."""

    objects: Mapping[str, int]
    """Bytes of shard objects, by point."""
    records: int
    """Approximate bytes of commits and metadata."""
    on_disk: int
    """Bytes of all of them, with files in whole blocks of the filesystem."""

    @property
    def bytes(self) -> int:
        """Bytes of objects and records together."""
        return sum(self.objects.values()) + self.records


def survey(shards: ShardSet, inputs: Inputs) -> Survey:
    """Reads headers of one tar or, where samples differ in size, the records of up to `MOST_RECORDS` samples; no media.

    A tar that cannot be read is passed over here; the extraction, which checks every byte, says what is wrong.
    """
    common = inputs.common_grids()
    count = 1 if common else max(1, MOST_RECORDS // shards.samples_per_shard)
    sizes, lengths = {}, [0]
    for number in _spread(len(shards.shards), count):
        try:
            records = read_records(shards, number)
            sizes[number] = _counted(records, inputs)
        except (OSError, ValueError, RecursionError, BadSample):
            continue
        lengths += map(len, records)
    if common:
        alike = TokenCounts.of(common)
        sizes = {number: Counter({alike: len(shard.ids)}) for number, shard in enumerate(shards.shards)}
    return Survey(sizes=sizes, record_bytes=sum(lengths) / max(1, len(lengths) - 1))


def object_sizes(cache: CacheLayout, surveyed: Survey) -> dict[str, list[int]]:
    """Returns the bytes of each shard's object by point; a shard that was not surveyed is like the others' mean."""
    return {name: _object_sizes(cache, point, _chunk_bytes(point, surveyed)) for name, point in cache.points.items()}


def space_needed(
    cache: CacheLayout,
    sizes: Mapping[str, Sequence[int]],
    missing: Mapping[int, Sequence[str]],
    record_bytes: float,
    block: int,
) -> SpaceNeeded:
    """Returns the bytes that are left to write: objects of `sizes` for the points that shards miss, commits, metadata.

    `block` is the filesystem's, in bytes.
    """
    objects = dict.fromkeys(cache.points, 0)
    if not missing:
        return SpaceNeeded(objects=objects, records=0, on_disk=0)
    files = [len(data) for data in metadata(cache).values()]
    for number, points in missing.items():
        for point in points:
            objects[point] += sizes[point][number]
        rows = round(cache.shards[number].samples * (record_bytes + _ROW))
        files.append(rows + _ENTRY * (1 + len(cache.points)))
    written = [sizes[point][number] for number, points in missing.items() for point in points]
    blocks = sum(-(-size // block) for size in [*files, *written]) + _FOLDERS * len(written)
    return SpaceNeeded(objects=objects, records=sum(files), on_disk=blocks * block)


def _chunk_bytes(point: PointLayout, surveyed: Survey) -> dict[int, int]:
    """Bytes of all chunks of each surveyed shard, with their checksums and without the object's index."""
    step = point.tokens_per_chunk
    chunk = round(point.chunk_bytes * point.chunk_codec.typical) + len(checksum(b""))
    return {
        number: sum(samples * -(-counts.on(point.level) // step) for counts, samples in sizes.items()) * chunk
        for number, sizes in surveyed.sizes.items()
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
    return [round(step * (length - 1) / max(1, count - 1)) for step in range(count)]


def _counted(records: Sequence[bytes], inputs: Inputs) -> Counter[TokenCounts]:
    """Tokens of the samples; of those that the model cannot take there will be nothing."""
    sizes: Counter[TokenCounts] = Counter()
    for record in records:
        sample = Sample.from_json(json.loads(record))
        try:
            sizes[TokenCounts.of(inputs.grids(sample))] += 1
        except BadSample:
            continue
    return sizes
