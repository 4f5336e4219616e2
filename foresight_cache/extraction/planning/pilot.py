"""A real extraction of a few samples, timed, in a temporary folder on the disk where the cache will be.

What is measured is what will run: the same batches, the same checks, the same writer with its checksums and its
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
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.encoders import Encoder
from foresight_cache.errors import BadSample
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.planning.codec_trials import CodecTrial, try_codecs
from foresight_cache.extraction.prepared_batches import RawBatch, prepare_batch
from foresight_cache.extraction.size_estimate import Survey, TokenCounts, object_sizes
from foresight_cache.format.layout import PointLayout, object_key
from foresight_cache.format.shard_object import ShardObjectWriter
from foresight_cache.points import LABELS, PIXELS
from foresight_cache.reader import open_cache
from foresight_cache.runtime.disk_space import nearest_folder
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.samples import Sample
from foresight_cache.shards import ShardSet, open_shard, write_shard
from foresight_cache.writer import PendingShard

if TYPE_CHECKING:
    import torch

MOST_BYTES = 256_000_000
"""Most that the pilot writes, and once more to measure the disk."""
MOST_SECONDS = 2.0
"""Longest time that the disk is measured, give or take one object."""
BATCHES = 4
"""Batches of the pilot: one to warm up, the others for the median."""
_OBJECT_BYTES = 32_000_000
"""Bytes of an object with which the disk is measured; each is durable before the next is begun."""
_CHUNK_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pilot:
    """Measurements of a real extraction of a few samples."""

    samples: int
    batches: int
    """Forward passes that were timed after the first, which warms up; 0 where no tap is left to compute."""
    seconds_per_sample: float
    """Seconds of the forward pass for a sample of mean size: the median over batches."""
    input_seconds_per_sample: float
    """Seconds in which one thread decodes and preprocesses a sample, while nothing else runs."""
    write_bytes_per_second: float
    """Rate of checksums and durable writing together."""
    codec_ratios: Mapping[str, float]
    """Bytes of the object that was written over those that the layout predicts for it, by point."""
    codecs: tuple[CodecTrial, ...]
    """What each codec makes of the features of the pilot."""


def run_pilot(plan: CachePlan, options: ExtractionOptions, free: int | None) -> Pilot | None:
    """Extracts some samples of the first unfinished shard, beside the cache and not in it, as far as permissions allow.

    `options` keep the points that are still missing. Returns None where not a single sample fits into a quarter of the
    `free` bytes, or where none can be used. Raises what `extract` raises.
    """
    budget = MOST_BYTES if free is None else min(MOST_BYTES, free // 4)
    content = open_shard(plan.shards, min(plan.missing))
    positions = _chosen(plan, options, content.samples, budget)
    if not positions:
        return None
    timed = TimedForward(plan.encoder)
    with (
        deferred_interrupts() as check,
        TemporaryDirectory(prefix=".foresight-plan-", dir=_workplace(plan)) as name,
    ):
        folder = Path(name)
        chosen = ((content.samples[position], content.members(position)) for position in positions)
        written = write_shard(folder, 0, 0, chosen)
        few = replace(plan.shards, path=folder, samples_per_shard=len(positions), shards=(written,))
        check()
        extract(few, plan.encoder, options, folder / "cache", forward=timed)
        ratios = _codec_ratios(folder / "cache")
        input_seconds = _input_seconds(few, plan, options)
        trials = try_codecs(open_cache(folder / "cache")) if ratios else ()
        speed = _write_speed(folder / "object", budget)
    if not ratios:
        return None
    seconds = timed.seconds_per_token(BATCHES)
    return Pilot(
        samples=len(positions),
        batches=len(seconds),
        seconds_per_sample=median(seconds) * _first_tokens(plan, options) if seconds else 0.0,
        input_seconds_per_sample=input_seconds,
        write_bytes_per_second=speed,
        codec_ratios=ratios,
        codecs=trials,
    )


def _input_seconds(few: ShardSet, plan: CachePlan, options: ExtractionOptions) -> float:
    """Seconds for a sample of making the inputs of the pilot's samples once more, in this thread alone."""
    content, shard = open_shard(few, 0), PendingShard(0, plan.names)
    planned = plan.inputs.batches(content.samples, options.execution.batch_tokens)
    with_text, begun = plan.inputs.runs_text(options.points), time.perf_counter()
    for positions in planned:
        batch = RawBatch(shard=shard, content=content, positions=positions, is_last=positions is planned[-1])
        prepare_batch(batch, plan.inputs, with_text=with_text)
    return (time.perf_counter() - begun) / len(content.samples)


def _workplace(plan: CachePlan) -> Path | None:
    """Returns the folder for the pilot of a plan; None, the usual one for temporary files, where no disk is meant."""
    return workplace(Path(plan.store.place)) if plan.store.room() else None


def workplace(out: Path) -> Path:
    """Returns a folder on the disk of `out`, above it where possible and permitted: a cache is not to be touched."""
    inside, above = nearest_folder(out), nearest_folder(out.absolute().parent)
    same_disk = inside.stat().st_dev == above.stat().st_dev
    return above if same_disk and os.access(above, os.W_OK | os.X_OK) else inside


class TimedForward:
    """Forward passes of an encoder, with the time that each takes."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._seconds: list[float] = []
        self._last: tuple[Mapping[str, torch.Tensor], Sequence[str]] | None = None

    def __call__(
        self, model_inputs: "Mapping[str, torch.Tensor]", points: Sequence[str]
    ) -> "dict[str, list[torch.Tensor]]":
        """Returns what the encoder returns, once the device has computed it."""
        self._wait()
        begun = time.perf_counter()
        features = self._encoder.forward(model_inputs, points)
        self._wait()
        seconds = time.perf_counter() - begun
        self._seconds.append(seconds / sum(len(tokens) for tokens in features[points[0]]))
        self._last = (model_inputs, points)
        return features

    def seconds_per_token(self, passes: int) -> list[float]:
        """Returns the time of each pass but the first for a token of the first point.

        The last batch is repeated until there were so many passes.
        """
        while self._last and len(self._seconds) < passes:
            self(*self._last)
        return self._seconds[1:]

    def _wait(self) -> None:
        """Waits until the device has done all that it was given."""
        if self._encoder.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self._encoder.device)


def _chosen(plan: CachePlan, options: ExtractionOptions, samples: Sequence[Sample], budget: int) -> list[int]:
    """Positions in whole batches, spread over those of a shard, whose features take at most `budget` bytes."""
    tokens = [_tokens(sample, plan.inputs) for sample in samples]
    planned = plan.inputs.batches(samples, options.execution.batch_tokens)
    planned = [batch for batch in planned if tokens[batch[0]]]
    names = [name for name in plan.names if name in (*map(str, options.points), LABELS, PIXELS)]
    points = [plan.layout.points[name] for name in names]
    positions: list[int] = []
    for batch in planned[:: max(1, len(planned) // BATCHES)][:BATCHES]:
        cost = _feature_bytes(points, tokens[batch[0]])
        fitting = batch[: budget // cost]
        budget -= len(fitting) * cost
        positions += fitting
    return sorted(positions)


def _tokens(sample: Sample, inputs: Inputs) -> TokenCounts | None:
    """None where the model cannot take a sample."""
    try:
        return TokenCounts.of(inputs.grids(sample))
    except BadSample:
        return None


def _feature_bytes(points: Sequence[PointLayout], tokens: TokenCounts | None) -> int:
    """Bytes of one sample at all of these points."""
    if tokens is None:
        return 0
    return sum(tokens.on(point.level) * point.width * point.numpy_dtype.itemsize for point in points)


def _first_tokens(plan: CachePlan, options: ExtractionOptions) -> float:
    """Mean tokens of the first point, by which passes are timed."""
    return plan.survey.mean_tokens(plan.layout.points[str(options.points[0])])


def _codec_ratios(folder: Path) -> dict[str, float]:
    """Bytes written over bytes predicted, by point; empty where no sample could be used."""
    cache = open_cache(folder)
    rows = [row for commit in cache.commits for row in commit.rows if row.status == "ok"]
    sizes = Counter(TokenCounts.of(row.grids) for row in rows)
    if not sizes:
        return {}
    predicted = object_sizes(cache.layout, Survey(sizes={0: sizes}, record_bytes=0))
    return {point: (folder / object_key(point, 0)).stat().st_size / sum(predicted[point]) for point in cache.points}


def _write_speed(path: Path, most: int) -> float:
    """Bytes per second of writing durable objects one after another, up to `most` bytes or `MOST_SECONDS`."""
    size = min(_CHUNK_BYTES, most)
    count = min(_OBJECT_BYTES, most) // size
    chunk = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)  # which no filesystem compresses
    written, begun, seconds = 0, time.perf_counter(), 0.0
    while not written or (written < most and seconds < MOST_SECONDS):
        with closing(ShardObjectWriter(path, chunks=count)) as writer:
            for position in range(count):
                writer.add(position, chunk)
            writer.finish()
            written += writer.size
        path.unlink()
        seconds = time.perf_counter() - begun
    return written / seconds
