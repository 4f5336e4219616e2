"""Caches with known contents, written through the real writer."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np

from foresight_cache.format.codecs import CodecName
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter

SAMPLES_PER_SHARD = 4
TAPS = ["vit.block_01", "vit.block_02", "llm.layer_01", "llm.layer_02"]


def sample(slot: int) -> Sample:
    return Sample(
        id=f"planted/train/{slot:04d}",
        dataset="planted",
        split="train",
        group=f"group-{slot}",
        media="image",
        file_name=f"train/{slot:04d}.png",
        width=64,
        height=48,
        annotations={"objects": [{"box": [1.0, 2.0, 33.0, 18.0], "category": "disc"}]},
    )


def fingerprint(**model: str) -> dict[str, object]:
    described: dict[str, object] = {"name": "planted", "weights": "random", "dtype": "bfloat16", "taps": TAPS} | model
    return {"model": described, "dataset": {"name": "planted"}, "input": {"size": "56x84"}}


def plan(points: dict[str, PointLayout], samples: int = 10, **model: str) -> CacheLayout:
    counts = [min(SAMPLES_PER_SHARD, samples - first) for first in range(0, samples, SAMPLES_PER_SHARD)]
    return CacheLayout(
        fingerprint=fingerprint(**model),
        samples_per_shard=SAMPLES_PER_SHARD,
        shards=tuple(
            ShardSource(name=f"shard-{number:06d}.tar", sha256=f"{number:064d}", samples=count)
            for number, count in enumerate(counts)
        ),
        points=points,
    )


def values(slot: int, tokens: int, layout: PointLayout) -> np.ndarray:
    """Returns the tokens [N, D] of sample `slot`: random, but a function of the arguments."""
    generator = np.random.default_rng([slot, tokens, layout.width])
    if layout.dtype == "uint8":
        return generator.integers(0, 256, (tokens, layout.width), dtype=np.uint8)
    numbers = generator.normal(size=(tokens, layout.width)).astype(np.float32)
    return numbers.astype(ml_dtypes.bfloat16) if layout.dtype == "bfloat16" else numbers.astype(layout.numpy_dtype)


def grids(slot: int, ragged: bool) -> dict[str, Grid]:
    height, width = (2 + slot % 3, 5 - slot % 2) if ragged else (2, 3)
    return {
        "pixel": Grid(1, height * 28, width * 28),
        "patch": Grid(1, height * 2, width * 2),
        "merged": Grid(1, height, width),
    }


def good(slot: int, levels: dict[str, Grid]) -> SampleRow:
    return SampleRow(sample=sample(slot), status="ok", reason=None, grids=levels)


def write(
    root: Path | str, cache: CacheLayout, *, ragged: bool = False, bad: tuple[int, ...] = (), pause: float = 0.0
) -> None:
    """Commits every pending shard; samples in `bad` are quarantined. Pauses for so many seconds before each sample."""
    with CacheWriter(root, cache) as writer:
        for pending in writer.pending(tuple(cache.points)):
            with writer.shard(pending) as shard:
                rows = []
                for position in range(cache.shards[pending.number].samples):
                    slot = pending.number * SAMPLES_PER_SHARD + position
                    time.sleep(pause)
                    if slot in bad:
                        rows.append(SampleRow(sample=sample(slot), status="bad", reason="truncated", grids={}))
                        continue
                    levels = grids(slot, ragged)
                    for point in pending.points:
                        layout = cache.points[point]
                        shard.add(position, point, values(slot, levels[layout.level].tokens, layout))
                    rows.append(good(slot, levels))
                shard.commit(rows)


def fixed_points() -> dict[str, PointLayout]:
    return {
        "vit.block_01": PointLayout.fixed("patch", "bfloat16", 24, 10),
        "llm.layer_01": PointLayout.fixed("merged", "float32", 6, 12),
        "pixels": PointLayout.fixed("pixel", "uint8", 56 * 84, 3),
    }


def points_of_every_type(*, ragged: bool = False) -> dict[str, PointLayout]:
    """Returns one point for each type of numbers, for samples of one size or of several."""
    if ragged:
        return {
            "vit.block_01": PointLayout.ragged("patch", "bfloat16", 300, 10),
            "vit.block_02": PointLayout.ragged("patch", "float16", 300, 10),
            "llm.layer_01": PointLayout.ragged("merged", "float32", 100, 12),
            "pixels": PointLayout.ragged("pixel", "uint8", 300 * 196, 3),
        }
    first, *rest = fixed_points().items()
    return dict([first, ("vit.block_02", PointLayout.fixed("patch", "float16", 24, 10)), *rest])


def compressed(points: Mapping[str, PointLayout], codec: CodecName) -> dict[str, PointLayout]:
    """Returns the same points with a codec."""
    return {name: replace(point, codec=codec) for name, point in points.items()}
