"""What an extraction will take, before it runs: tokens, bytes, room on the disk and time.

Bytes follow from the layout (`space`), times from a pilot (`pilot`). A cache that is there already is only read.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from foresight_cache.encoders import Encoder
from foresight_cache.extraction.extract import array_names, plan_cache
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.planning.pilot import Pilot, run_pilot
from foresight_cache.extraction.size_estimate import (
    free_space_at,
    mean_tokens,
    missing_points,
    object_sizes,
    space_needed,
    survey,
)
from foresight_cache.format import layout
from foresight_cache.format.merging import merged_layout
from foresight_cache.shards import ShardSet


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedPoint:
    """One array of the cache."""

    name: str
    tokens: float
    """Mean tokens of a sample."""
    width: int
    dtype: str
    bytes: int
    """Of all its objects, once the cache is complete."""
    bytes_left: int
    """Of those that are still to be written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionPlan:
    """What an extraction will take, on this machine and in one process."""

    out: str
    """Where the cache is or would be."""
    exists: bool
    """Whether there is a cache already."""
    samples: int
    samples_left: int
    """Samples of the shards that lack something."""
    shards: int
    shards_left: int
    surveyed: int
    """Samples whose sizes are known; the others are taken to be like them."""
    points: tuple[PlannedPoint, ...]
    """In the order of computation, labels and pixels last."""
    records_left: int
    """Bytes of commits and metadata still to be written, about."""
    on_disk_left: int
    """Bytes of the disk that all that is left takes, in whole blocks."""
    folder: str
    """The nearest folder to `out` that exists."""
    free: int | None
    """Bytes that its disk has free, or None where it does not tell."""
    pilot: Pilot | None
    """None where nothing is left, where the disk has no room for a pilot, or where no sample of it could be used."""

    @property
    def bytes(self) -> int:
        """Of all objects of the complete cache."""
        return sum(point.bytes for point in self.points)

    @property
    def bytes_left(self) -> int:
        """Of all objects and records still to be written."""
        return sum(point.bytes_left for point in self.points) + self.records_left

    @property
    def fits(self) -> bool:
        """Whether the disk has room for what is left."""
        return self.free is None or self.on_disk_left <= self.free

    @property
    def compute_seconds(self) -> float | None:
        """Of all forward passes that are left."""
        return self.pilot.seconds_per_sample * self.samples_left if self.pilot else None

    @property
    def write_seconds(self) -> float | None:
        """Of writing all that is left."""
        return self.bytes_left / self.pilot.write_bytes_per_second if self.pilot else None

    @property
    def seconds(self) -> float | None:
        """In all: computing and writing overlap, so that the slower of the two decides. None without a pilot."""
        if not self.shards_left:
            return 0.0
        return max(self.compute_seconds or 0.0, self.write_seconds or 0.0) if self.pilot else None

    def to_json(self) -> dict[str, Any]:
        """All fields and all that follows from them."""
        derived = ("bytes", "bytes_left", "fits", "compute_seconds", "write_seconds", "seconds")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def plan_extraction(shards: ShardSet, encoder: Encoder, options: ExtractionOptions, out: Path) -> ExtractionPlan:
    """What `extract` with the same arguments will take. Changes nothing at `out`.

    Raises what `extract` would: `UsageError` for a size that is not possible, `CacheError` for a foreign cache,
    `ShardError` for a damaged first tar, `FeatureError` for values that no cache should hold.
    """
    names = array_names(shards, options)
    planned = plan_cache(shards, encoder, options)
    cache = replace(merged_layout(out, planned), shards=planned.shards)
    lacking = missing_points(out, cache, names)
    room = free_space_at(out)
    found = survey(shards, encoder, options.inputs)
    pilot = None
    if lacking:
        left = {point for points in lacking.values() for point in points}
        wanted = replace(options, points=tuple(point for point in options.points if str(point) in left))
        pilot = run_pilot(shards, encoder, wanted, out, shard=min(lacking), found=found, free=room.free)
    ratios = pilot.codec_ratios if pilot else {}
    sizes = {
        name: [round(ratios.get(name, 1.0) * size) for size in of_point]
        for name, of_point in object_sizes(cache, found).items()
    }
    need = space_needed(cache, sizes, lacking, found.record_bytes, room.block)
    return ExtractionPlan(
        out=str(out),
        exists=(out / layout.ROOT_KEY).exists(),
        samples=shards.samples,
        samples_left=sum(cache.shards[number].samples for number in lacking),
        shards=len(cache.shards),
        shards_left=len(lacking),
        surveyed=sum(cache.shards[number].samples for number in found.sizes),
        points=tuple(
            PlannedPoint(
                name=name,
                tokens=mean_tokens(cache.points[name], found),
                width=cache.points[name].width,
                dtype=cache.points[name].dtype,
                bytes=sum(sizes[name]),
                bytes_left=need.objects[name],
            )
            for name in names
        ),
        records_left=need.records,
        on_disk_left=need.on_disk,
        folder=str(room.folder),
        free=room.free,
        pilot=pilot,
    )
