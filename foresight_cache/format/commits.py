"""The record that commits a shard: its objects, and its part of the sample table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from foresight_cache.errors import BadSample, CorruptCache
from foresight_cache.format.layout import GRID_LEVELS, POOLED_GRID, CacheLayout, commit_key
from foresight_cache.records import (
    JsonObject,
    canonical_json,
    checked_digest,
    parse_json,
    safe_point_name,
    shown,
    with_digest,
)
from foresight_cache.samples import ClipTimes, Grid, Sample

Status = Literal["ok", "bad"]
_STATUSES: tuple[Status, ...] = get_args(Status)
_LARGEST_SIDE = 2**31
_OF_CLIPS = ("frames", "seconds", "reversed")
"""Fields of the rows of clips; the last two are there where they say something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRow:
    """A sample and what the cache knows of it besides its features."""

    sample: Sample
    status: Status
    """`bad` samples have no features: they are quarantined."""
    reason: str | None
    """Why a sample is bad."""
    grids: Mapping[str, Grid]
    """Grids by level (`pixel`, `patch`, `merged`); empty for a bad sample."""
    frames: tuple[int, ...] = (0,)
    """Frames of a clip that were taken, counted from 0, one per time step of the pixels."""
    seconds: tuple[float, ...] | None = None
    """Times at which these frames are shown, ascending; None where all of a clip's follow at its mean rate."""
    reversed: bool | None = None
    """True where the clip was played backwards; None where none of the cache was to be."""

    @property
    def times(self) -> ClipTimes | None:
        """When the pixels' frames are shown; None of an image and where the clip's rate is not known.

        A clip that was played backwards is shown at the times of the clip as it was, which say nothing of it.
        """
        rate = self.sample.frames_per_second
        if rate is None or self.status == "bad":
            return None
        indices = tuple(sorted(self.frames))
        return ClipTimes(frames=self.sample.frames, frames_per_second=rate, indices=indices, measured=self.seconds)

    def to_json(self) -> dict[str, Any]:
        frames: dict[str, Any] = {"frames": list(self.frames)} if self.sample.media == "clip" else {}
        if self.seconds is not None:
            frames["seconds"] = list(self.seconds)
        if self.reversed is not None:
            frames["reversed"] = self.reversed
        return {
            "sample": self.sample.to_json(),
            "status": self.status,
            "reason": self.reason,
            "grids": {level: list(grid) for level, grid in self.grids.items()},
            **frames,
        }

    @classmethod
    def from_json(cls, record: Any, path: str) -> Self:
        """Returns the row of a record. Raises `ValueError` and `BadSample` where it is not of format 1."""
        is_clip = isinstance(record, dict) and "frames" in record
        of_clips = tuple(name for name in _OF_CLIPS if is_clip and name in record)
        row = JsonObject.of(record, path, ("sample", "status", "reason", "grids", *of_clips))
        status = row.choice("status", _STATUSES)
        grids = row.inner("grids", None if status == "ok" else ())
        if status == "ok" and row.values["reason"] is not None:
            raise ValueError(f"{path} has the status ok and a reason to be bad")
        sample = Sample.from_json(record["sample"])
        if is_clip != (sample.media == "clip"):
            raise ValueError(
                f"{path} is of {'a clip' if sample.media == 'clip' else 'an image'}; only clips have frames"
            )
        return cls(
            sample=sample,
            status=status,
            reason=row.text("reason") if status == "bad" else None,
            grids={level: _grid(grids, level) for level in grids.values},
            frames=_frames(row) if is_clip else (0,),
            seconds=_seconds(row) if "seconds" in of_clips else None,
            reversed=_reversed(row) if "reversed" in of_clips else None,
        )


def _seconds(row: JsonObject) -> tuple[float, ...]:
    seconds = row.items("seconds")
    if len(seconds) != len(row.items("frames")) or not all(type(time) in (int, float) for time in seconds):
        raise ValueError(f"{row.path}.seconds is {ascii(seconds)[:60]}, expected a number for each of the frames")
    return tuple(seconds)


def _reversed(row: JsonObject) -> bool:
    if type(row.values["reversed"]) is not bool:
        raise ValueError(f"{row.path}.reversed is {ascii(row.values['reversed'])[:60]}, expected true or false")
    return row.values["reversed"]


def _frames(row: JsonObject) -> tuple[int, ...]:
    frames = row.items("frames")
    if not all(type(frame) is int and 0 <= frame <= _LARGEST_SIDE for frame in frames):
        raise ValueError(f"{row.path}.frames is {ascii(frames)[:60]}, expected numbers of frames")
    return tuple(frames)


def _grid(grids: JsonObject, level: str) -> Grid:
    if level not in GRID_LEVELS:
        raise ValueError(f"{grids.path} has {shown(level)}, expected some of {', '.join(GRID_LEVELS)}")
    sizes = grids.items(level)
    if len(sizes) != 3 or not all(type(size) is int and 0 < size <= _LARGEST_SIDE for size in sizes):
        raise ValueError(f"{grids.path}.{level} is {ascii(sizes)[:60]}, expected three sizes [t, h, w]")
    return Grid(*sizes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One shard, whole."""

    shard: int
    fingerprint_sha256: str
    source_sha256: str
    """SHA-256 of the tar that the shard was made from."""
    objects: Mapping[str, Mapping[str, Any]]
    """Entries by point: `sha256`, `bytes` and `statistics` of the shard object, and how often batches were `halved`."""
    rows: tuple[SampleRow, ...]
    """Rows in the order of the tar."""

    def to_json(self) -> bytes:
        body = {
            "shard": self.shard,
            "fingerprint_sha256": self.fingerprint_sha256,
            "source_sha256": self.source_sha256,
            "objects": self.objects,
            "rows": [row.to_json() for row in self.rows],
        }
        return canonical_json(with_digest(body))

    @classmethod
    def from_json(cls, data: bytes, place: str) -> Self:
        """Returns the commit of a record. Raises `CorruptCache` where it is not what was written."""
        try:
            body = checked_digest(parse_json(data))
        except ValueError as error:
            raise CorruptCache(f"{place} {error}; run 'foresight verify' on the cache") from None
        try:
            record = JsonObject.of(body, "record", ("shard", "fingerprint_sha256", "source_sha256", "objects", "rows"))
            return cls(
                shard=record.integer("shard"),
                fingerprint_sha256=record.digest("fingerprint_sha256"),
                source_sha256=record.digest("source_sha256"),
                objects=_objects(record.inner("objects")),
                rows=tuple(SampleRow.from_json(row, f"rows[{n}]") for n, row in enumerate(record.items("rows"))),
            )
        except (ValueError, BadSample) as error:
            raise CorruptCache(
                f"{place} is not a commit record of format 1: {error}; extract the shard again"
            ) from None

    def check_belongs(self, cache: CacheLayout, key: str, place: str) -> None:
        """Raises `CorruptCache` where this is not the record of this shard of this cache.

        The record may have more points than `cache`, which another process may be adding.
        """
        if commit_key(self.shard) != key or self.shard >= len(cache.shards):
            problem = f"is of shard {self.shard}, not of this one"
        elif self.fingerprint_sha256 != cache.digest:
            problem = "is of a cache with another fingerprint"
        elif self.source_sha256 != cache.shards[self.shard].sha256:
            problem = "is of another tar"
        elif len(self.rows) != cache.shards[self.shard].samples:
            problem = f"has {len(self.rows)} rows, its shard has {cache.shards[self.shard].samples} samples"
        elif too_large := [row.sample.id for row in self.rows if not _fits(row, cache, self.objects.keys())]:
            problem = f"has the sample {too_large[0]} on a grid that its points cannot hold"
        else:
            return
        raise CorruptCache(f"the commit record {place} {problem}; remove it and extract the shard again")


def _fits(row: SampleRow, cache: CacheLayout, committed: Iterable[str]) -> bool:
    points = [cache.points[name] for name in committed if name in cache.points]
    grids = {**row.grids, "pooled": POOLED_GRID}
    return row.status == "bad" or all(
        point.level in grids and grids[point.level].tokens <= point.tokens for point in points
    )


def _objects(objects: JsonObject) -> dict[str, Mapping[str, Any]]:
    entries = {}
    for name in objects.values:
        entry = objects.inner(safe_point_name(name, objects.path))
        entry.integer("bytes")
        entry.digest("sha256")
        if "statistics" in entry.values:
            _check_statistics(entry.inner("statistics"))
        if "order" in entry.values and not all(type(n) in (int, float) for n in entry.inner("order").values.values()):
            raise ValueError(f"{entry.path}.order has values that are not numbers")
        entries[name] = entry.values
    return entries


def _check_statistics(statistics: JsonObject) -> None:
    if not statistics.values:
        return
    numbers = [statistics.values.get(name) for name in ("mean", "std", "effective_rank")]
    quantiles = statistics.items("norm_quantiles")
    if len(quantiles) != 3 or not all(type(number) in (int, float) for number in (*numbers, *quantiles)):
        raise ValueError(f"{statistics.path} has values that are not numbers, or not three quantiles")
