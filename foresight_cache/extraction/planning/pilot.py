"""A real extraction of a few samples, timed, in a temporary folder on the disk where the cache will be.

What is measured is what will run: the same batches, the same guards, the same writer with its checksums and its
waiting for the disk. The folder is removed whatever happens.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from foresight_cache.encoders import Encoder
from foresight_cache.errors import BadSample
from foresight_cache.extraction.extract import extract, plan_cache
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.size_estimate import Survey, TokenCounts, mean_tokens, nearest_folder, object_sizes
from foresight_cache.format.layout import CacheLayout, object_key
from foresight_cache.format.shard_object import ShardObjectWriter
from foresight_cache.reader import open_cache
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.samples import Sample
from foresight_cache.shards import Packed, ShardSet, read_shard, write_shard

if TYPE_CHECKING:
    import torch

MOST_BYTES = 256_000_000
"""Most that the pilot writes, and once more to measure the disk."""
MOST_SECONDS = 2.0
"""How long the disk is measured at most, give or take one object."""
BATCHES = 4
"""Batches of the pilot: one to warm up, the others for the median."""
_OBJECT_BYTES = 32_000_000
"""Bytes of an object with which the disk is measured; each is durable before the next is begun."""
_CHUNK_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pilot:
    """What a real extraction of a few samples showed."""

    samples: int
    batches: int
    """Forward passes that were timed after the first, which warms up; 0 where no tap is left to compute."""
    seconds_per_sample: float
    """Of the forward pass, for a sample of mean size: the median over batches."""
    write_bytes_per_second: float
    """Of encoding, checksums and durable writing."""
    codec_ratios: Mapping[str, float]
    """By point, bytes of the object that was written over those that the layout predicts for it."""


def run_pilot(
    shards: ShardSet,
    encoder: Encoder,
    options: ExtractionOptions,
    out: Path,
    *,
    shard: int,
    found: Survey,
    free: int | None,
) -> Pilot | None:
    """Extracts some samples of one shard, beside `out` and not in it, as far as the filesystem permits.

    None where not a single sample fits into a quarter of the `free` bytes, or where none can be used. Raises what
    `extract` raises.
    """
    budget = MOST_BYTES if free is None else min(MOST_BYTES, free // 4)
    chosen = _chosen(shards, encoder, options, shard, budget)
    if not chosen:
        return None
    timed = _Timed(encoder)
    with deferred_interrupts() as check, TemporaryDirectory(prefix=".foresight-plan-", dir=workplace(out)) as name:
        folder = Path(name)
        written = write_shard(folder, 0, 0, chosen)
        few = replace(shards, path=folder, samples_per_shard=len(chosen), shards=(written,))
        check()
        extract(few, cast(Encoder, timed), options, folder / "cache")
        ratios = _codec_ratios(folder / "cache")
        speed = _write_speed(folder / "object", budget)
    if not ratios:
        return None
    seconds = timed.seconds_per_token(BATCHES)
    return Pilot(
        samples=len(chosen),
        batches=len(seconds),
        seconds_per_sample=median(seconds) * _first_tokens(shards, encoder, options, found) if seconds else 0.0,
        write_bytes_per_second=speed,
        codec_ratios=ratios,
    )


def workplace(out: Path) -> Path:
    """A folder on the disk of `out`, above it where that is possible and permitted: a cache is not to be touched."""
    inside, above = nearest_folder(out), nearest_folder(out.absolute().parent)
    same_disk = inside.stat().st_dev == above.stat().st_dev
    return above if same_disk and os.access(above, os.W_OK | os.X_OK) else inside


class _Timed:
    """An encoder that notes how long its forward passes take."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._seconds: list[float] = []
        self._last: tuple[Mapping[str, Any], Sequence[str]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def forward(self, inputs: "Mapping[str, torch.Tensor]", taps: Sequence[str]) -> "dict[str, list[torch.Tensor]]":
        self._wait()
        begun = time.perf_counter()
        features = self._encoder.forward(inputs, taps)
        self._wait()
        taken = time.perf_counter() - begun
        self._seconds.append(taken / sum(len(sample) for sample in features[taps[0]]))
        self._last = (inputs, taps)
        return features

    def seconds_per_token(self, passes: int) -> list[float]:
        """For a token of the first tap, without the first pass; the last batch is repeated up to so many passes."""
        while self._last and len(self._seconds) < passes:
            self.forward(*self._last)
        return self._seconds[1:]

    def _wait(self) -> None:
        """Until the device has done all that it was asked to do."""
        if self._encoder.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self._encoder.device)


def _chosen(shards: ShardSet, encoder: Encoder, options: ExtractionOptions, shard: int, budget: int) -> list[Packed]:
    """Samples of whole batches, spread over those of the shard, whose features take at most `budget` bytes."""
    content = list(read_shard(shards, shard))
    tokens = [_tokens(sample, encoder, options) for sample, _ in content]
    planned = options.inputs.batches(encoder, [sample for sample, _ in content], options.batch_tokens)
    planned = [batch for batch in planned if tokens[batch[0]]]
    cache = plan_cache(shards, encoder, options)
    taken: list[int] = []
    for batch in planned[:: max(1, len(planned) // BATCHES)][:BATCHES]:
        cost = _feature_bytes(cache, tokens[batch[0]])
        fitting = batch[: budget // cost]
        budget -= len(fitting) * cost
        taken += fitting
    return [content[position] for position in sorted(taken)]


def _tokens(sample: Sample, encoder: Encoder, options: ExtractionOptions) -> TokenCounts | None:
    """None where the model cannot take a sample."""
    try:
        return TokenCounts.of(options.inputs.grids(encoder, sample))
    except BadSample:
        return None


def _feature_bytes(cache: CacheLayout, tokens: TokenCounts | None) -> int:
    """Of all points of one sample."""
    return sum(
        getattr(tokens, point.level) * point.width * point.numpy_dtype.itemsize for point in cache.points.values()
    )


def _first_tokens(shards: ShardSet, encoder: Encoder, options: ExtractionOptions, found: Survey) -> float:
    """Mean tokens of the first tap, by which passes are timed."""
    first = str(options.points[0])
    return mean_tokens(plan_cache(shards, encoder, options).points[first], found)


def _codec_ratios(place: Path) -> dict[str, float]:
    """Empty where no sample could be used."""
    cache = open_cache(place)
    rows = [row for commit in cache.commits for row in commit.rows if row.status == "ok"]
    sizes = Counter(TokenCounts.of(row.grids) for row in rows)
    if not sizes:
        return {}
    predicted = object_sizes(cache.layout, Survey(sizes={0: sizes}, record_bytes=0))
    return {point: (place / object_key(point, 0)).stat().st_size / sum(predicted[point]) for point in cache.points}


def _write_speed(path: Path, most: int) -> float:
    """Bytes per second of writing durable objects one after another, up to `most` bytes or `MOST_SECONDS`."""
    size = min(_CHUNK_BYTES, most)
    count = min(_OBJECT_BYTES, most) // size
    chunk = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)  # which no filesystem compresses
    written, begun, taken = 0, time.perf_counter(), 0.0
    while not written or (written < most and taken < MOST_SECONDS):
        with closing(ShardObjectWriter(path, chunks=count)) as writer:
            for position in range(count):
                writer.add(position, chunk)
            writer.finish()
            written += writer.size
        path.unlink()
        taken = time.perf_counter() - begun
    return written / taken
