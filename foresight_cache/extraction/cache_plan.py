"""The cache that one extraction makes or completes: its layout, its fingerprint, and what of it is missing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

from foresight_cache.encoders import Encoder
from foresight_cache.encoders.weights import attention
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.size_estimate import SpaceNeeded, Survey, object_sizes, space_needed, survey
from foresight_cache.format.committed_shards import all_committed
from foresight_cache.format.layout import ROOT_KEY, SAMPLES, CacheLayout, DType, PointLayout, ShardSource
from foresight_cache.format.merging import bytes_at, merged_layout
from foresight_cache.format.metadata import read_root
from foresight_cache.format.stores import WritableStore, open_writable
from foresight_cache.points import LABELS, PIXELS, Point
from foresight_cache.shards import ShardSet

_LIBRARIES = ("torch", "torchvision", "transformers", "pillow")
"""Libraries that compute; clips are decoded by one more."""


@dataclass(frozen=True, eq=False)
class CachePlan:
    """All that an extraction needs to know of its cache; each part is worked out once, when it is first needed."""

    shards: ShardSet
    encoder: Encoder
    options: ExtractionOptions
    out: str | os.PathLike[str]
    """Place where the cache is or will be; it is only read."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for a readout that a tap cannot have."""
        self.encoder.check_points(self.options.points)

    @cached_property
    def store(self) -> WritableStore:
        """Store of the cache. Raises `UsageError` for a place that cannot be written, `NotACache` for a file."""
        return open_writable(self.out, self.options.execution.scratch)

    @cached_property
    def inputs(self) -> Inputs:
        """Inputs of the model. Raises `UsageError` for a kind of media that it does not take."""
        return Inputs(self.encoder, self.options.inputs, self.shards.media)

    @cached_property
    def wanted(self) -> CacheLayout:
        """Layout of the cache that the extraction makes alone. Raises `UsageError` for a size that is not possible."""
        fingerprint = fingerprint_of(
            self.inputs, self.options.execution.batch_tokens, self.shards.dataset, self.shards.manifest_digest
        )
        return replace(self.shape, fingerprint=fingerprint)

    @cached_property
    def shape(self) -> CacheLayout:
        """What `wanted` is, without a fingerprint: all that follows without the model's weights."""
        return CacheLayout(
            fingerprint={},
            samples_per_shard=self.shards.samples_per_shard,
            shards=tuple(
                ShardSource(name=shard.name, sha256=shard.sha256, samples=len(shard.ids))
                for shard in self.shards.shards
            ),
            points=self._with_codecs(self._points()),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Arrays that the extraction writes: its points, labels where the dataset has them, the pixels."""
        return tuple(self.shape.points)

    @cached_property
    def merged(self) -> CacheLayout:
        """Layout of the cache with all that is in it already. Raises `CacheError` for a foreign cache."""
        return merged_layout(self.store, self.wanted)

    @cached_property
    def layout(self) -> CacheLayout:
        """Layout of all points of the cache and of the shards of this extraction. Raises what `merged` raises."""
        return replace(self.merged, shards=self.wanted.shards)

    @cached_property
    def missing(self) -> Mapping[int, tuple[str, ...]]:
        """Arrays that are still to be written, by the number of each shard that lacks some.

        Raises what `merged` raises, and `CorruptCache` for a damaged commit.
        """
        commits = all_committed(self.store, self.layout, set(self.store.names(SAMPLES)))
        there = {number: commit.objects for number, commit in commits.items()}
        lacking = {
            number: tuple(name for name in self.names if name not in there.get(number, {}))
            for number in range(len(self.layout.shards))
        }
        return {number: names for number, names in lacking.items() if names}

    @property
    def samples_missing(self) -> int:
        """Number of the samples of shards that lack an array. Raises what `missing` raises."""
        return sum(self.layout.shards[number].samples for number in self.missing)

    @cached_property
    def survey(self) -> Survey:
        """Sizes of the inputs."""
        return survey(self.shards, self.inputs)

    @cached_property
    def object_sizes(self) -> dict[str, list[int]]:
        """Bytes of each shard's object, by point."""
        return object_sizes(self.layout, self.survey)

    def space_needed(self, sizes: Mapping[str, Sequence[int]], block: int) -> SpaceNeeded:
        """Returns the bytes still to be written, given the objects' `sizes` and the filesystem's `block`, in bytes."""
        return space_needed(self.layout, sizes, self.missing, self.survey.record_bytes, block)

    def check_free_space(self) -> None:
        """Raises `CacheError` where the store has no room for what is missing; writes nothing."""
        if self.missing and (room := self.store.room()):
            room.check(self.store.place, self.space_needed(self.object_sizes, room.block).on_disk)

    def _points(self) -> dict[str, PointLayout]:
        points = {str(point): self._point_layout(point) for point in self.options.points}
        if "labels" in self.shards.manifest.get("annotations", ()):
            points[LABELS] = self.inputs.point_layout("pixel", "uint8", 1)
        points[PIXELS] = self.inputs.point_layout("pixel", "uint8", 3)
        return points

    def _with_codecs(self, points: Mapping[str, PointLayout]) -> dict[str, PointLayout]:
        """Returns the points with the codecs that were asked for; what nobody named keeps that of the cache."""
        choice = self.options.execution.codec
        choice.check_points(points)
        root = bytes_at(self.store, ROOT_KEY)
        there = read_root(root, self.store.place).points if root else {}
        codecs = {}
        for name in points:
            asked = choice.by_point.get(name) if name in there and name in (PIXELS, LABELS) else choice.asked(name)
            codecs[name] = asked or (there[name].codec if name in there else "none")
        return {name: replace(point, codec=codecs[name]) for name, point in points.items()}

    def _point_layout(self, point: Point) -> PointLayout:
        tap = next(tap for tap in self.encoder.taps if tap.name == point.tap)
        dtype: DType = "uint8" if tap.level == "pixel" else self.encoder.options.dtype
        if point.readout == "text":
            return self.inputs.point_layout("text", dtype, tap.width)
        if point.readout != "tokens":
            return PointLayout.fixed("pooled", dtype, 1, tap.width)
        return self.inputs.point_layout(tap.level, dtype, tap.width)


def fingerprint_of(inputs: Inputs, batch_tokens: int, dataset: str, manifest_sha256: str) -> dict[str, dict[str, Any]]:
    """Returns all that decides the numbers in a cache, but for the tars; `docs/cache_format.md` explains each field."""
    import torch

    encoder = inputs.encoder
    libraries = (*_LIBRARIES, *encoder.libraries, *(("av",) if inputs.media == "clip" else ()))
    return {
        "model": {**encoder.identity(), "taps": [tap.name for tap in encoder.taps]},
        "dataset": {"name": dataset, "manifest_sha256": manifest_sha256},
        "input": inputs.spec.to_json(inputs.media),
        "execution": {
            **{"batch_tokens": batch_tokens, "device": encoder.device.type},
            **{"device_map": encoder.options.device_map, "float32_matmul": torch.get_float32_matmul_precision()},
        },
        "libraries": {name: version(name) for name in libraries} | attention.packages(encoder.options.attention),
    }
