"""The cost of an extraction before it runs: tokens, bytes, room on the disk and time.

Bytes follow from the layout (`size_estimate`), times from a pilot (`pilot`). A cache that is there already is only
read.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from foresight_cache.encoders import Encoder
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.planning.pilot import Pilot, run_pilot
from foresight_cache.extraction.size_estimate import object_sizes
from foresight_cache.format.codecs import CodecName
from foresight_cache.format.layout import ROOT_KEY
from foresight_cache.format.merging import bytes_at
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
    """Bytes of all its objects, once the cache is complete."""
    bytes_left: int
    """Bytes of its objects that are still to be written."""
    codec: CodecName


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCodec:
    """What the complete cache would be with one codec at all points."""

    codec: CodecName
    bytes: int
    """Bytes of all objects."""
    ratio: float
    """Bytes stored for each raw byte."""
    writing_seconds: float
    """Seconds of one thread that compresses all of it."""
    reading_seconds: float
    """Seconds of one thread that decompresses all of it once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionPlan:
    """Cost of an extraction on this machine and in one process."""

    out: str
    """Place where the cache is or would be."""
    exists: bool
    """True if there is a cache already."""
    samples: int
    samples_left: int
    """Samples of the shards that lack something."""
    shards: int
    shards_left: int
    surveyed: int
    """Samples whose sizes are known; the others are taken to be like them."""
    points: tuple[PlannedPoint, ...]
    """Points in the order of computation, labels and pixels last."""
    records_left: int
    """Approximate bytes of commits and metadata still to be written."""
    on_disk_left: int
    """Bytes of the disk that all that is left takes, in whole blocks."""
    folder: str
    """The nearest folder to `out` that exists; where that is no folder, the store."""
    free: int | None
    """Bytes that its disk has free, or None where it does not tell, or nothing bounds it."""
    pilot: Pilot | None
    """None where nothing is left, where the disk has no room for a pilot, or where no sample of it could be used."""
    compress_seconds: float
    """Seconds in which the threads of one process compress what is left, where points have codecs."""
    codecs: tuple[PlannedCodec, ...]
    """What each codec would save, from the pilot's features; empty without a pilot, and where points are there."""

    @property
    def bytes(self) -> int:
        """Bytes of all objects of the complete cache."""
        return sum(point.bytes for point in self.points)

    @property
    def bytes_left(self) -> int:
        """Bytes of all objects and records still to be written."""
        return sum(point.bytes_left for point in self.points) + self.records_left

    @property
    def fits(self) -> bool:
        """True if the disk has room for what is left."""
        return self.free is None or self.on_disk_left <= self.free

    @property
    def compute_seconds(self) -> float | None:
        """Seconds of all forward passes that are left; None without a pilot."""
        return self.pilot.seconds_per_sample * self.samples_left if self.pilot else None

    @property
    def write_seconds(self) -> float | None:
        """Seconds of compressing and writing all that is left; None without a pilot."""
        if self.pilot is None:
            return None
        return self.compress_seconds + self.bytes_left / self.pilot.write_bytes_per_second

    @property
    def seconds(self) -> float | None:
        """Seconds in all: computing and writing overlap, so that the slower decides. None without a pilot."""
        if not self.shards_left:
            return 0.0
        return max(self.compute_seconds or 0.0, self.write_seconds or 0.0) if self.pilot else None

    def to_json(self) -> dict[str, Any]:
        """Returns all fields and all that follows from them."""
        return {
            **asdict(self),
            "bytes": self.bytes,
            "bytes_left": self.bytes_left,
            "fits": self.fits,
            "compute_seconds": self.compute_seconds,
            "write_seconds": self.write_seconds,
            "seconds": self.seconds,
        }


def plan_extraction(
    shards: ShardSet, encoder: Encoder, options: ExtractionOptions, out: str | os.PathLike[str]
) -> ExtractionPlan:
    """Returns what `extract` with the same arguments will take. Changes nothing at `out`.

    Raises what `extract` would: `UsageError` for a size that is not possible, `CacheError` for a foreign cache,
    `ShardError` for a damaged first tar, `FeatureError` for values that no cache should hold.
    """
    plan = CachePlan(shards, encoder, options, out)
    room = plan.store.room()
    free = room.free if room else None
    pilot = _pilot(plan, free)
    ratios = pilot.codec_ratios if pilot else {}
    sizes = {
        name: [round(ratios.get(name, 1.0) * size) for size in of_shards]
        for name, of_shards in plan.object_sizes.items()
    }
    needed = plan.space_needed(sizes, room.block if room else 1)
    counts = [shard.samples for shard in plan.layout.shards]
    return ExtractionPlan(
        out=plan.store.place,
        exists=bytes_at(plan.store, ROOT_KEY) is not None,
        samples=sum(counts),
        samples_left=sum(counts[number] for number in plan.missing),
        shards=len(counts),
        shards_left=len(plan.missing),
        surveyed=sum(counts[number] for number in plan.survey.sizes),
        points=tuple(_planned_point(plan, name, sum(sizes[name]), needed.objects[name]) for name in plan.names),
        records_left=needed.records,
        on_disk_left=needed.on_disk,
        folder=str(room.folder) if room else plan.store.place,
        free=free,
        pilot=pilot,
        compress_seconds=_compress_seconds(plan, pilot) if pilot else 0.0,
        codecs=tuple(_planned_codecs(plan, pilot)) if pilot else (),
    )


def _pilot(plan: CachePlan, free: int | None) -> Pilot | None:
    if not plan.missing:
        return None
    missing = {point for points in plan.missing.values() for point in points}
    points = tuple(point for point in plan.options.points if str(point) in missing)
    return run_pilot(plan, replace(plan.options, points=points), free)


def _planned_point(plan: CachePlan, name: str, size: int, left: int) -> PlannedPoint:
    point = plan.layout.points[name]
    tokens = plan.survey.mean_tokens(point)
    return PlannedPoint(
        name=name,
        tokens=tokens,
        width=point.width,
        dtype=point.dtype,
        bytes=size,
        bytes_left=left,
        codec=point.codec,
    )


def _raw(plan: CachePlan) -> dict[str, list[int]]:
    """Bytes of each shard's object by point, as they would be without codecs."""
    points = {name: replace(point, codec="none") for name, point in plan.layout.points.items()}
    return object_sizes(replace(plan.layout, points=points), plan.survey)


def _compress_seconds(plan: CachePlan, pilot: Pilot) -> float:
    raw, seconds = _raw(plan), {trial.codec: trial.seconds_per_byte for trial in pilot.codecs}
    left = [(point, raw[point][number]) for number, points in plan.missing.items() for point in points]
    threads = plan.options.execution.workers
    return sum(size * seconds[plan.layout.points[point].codec] for point, size in left) / threads


def _planned_codecs(plan: CachePlan, pilot: Pilot) -> Iterator[PlannedCodec]:
    raw = {name: sum(sizes) for name, sizes in _raw(plan).items() if name in plan.names}
    if not raw.keys() <= pilot.codec_ratios.keys():
        return
    total = sum(raw.values())
    for trial in pilot.codecs:
        size = round(sum(trial.ratios[name] * of_point for name, of_point in raw.items()))
        yield PlannedCodec(
            codec=trial.codec,
            bytes=size,
            ratio=size / total,
            writing_seconds=total * trial.seconds_per_byte,
            reading_seconds=total * trial.seconds_per_byte_read,
        )
