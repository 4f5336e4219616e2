"""Small caches of scenes with boxes, whose features say where the boxes are, or do not, or are ragged."""

import hashlib
from pathlib import Path

import ml_dtypes
import numpy as np

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter

TAPS = ["vit.block_01", "vit.block_02", "llm.layer_01"]
PER_SHARD = 32
SIDE = 8
"""Tokens along the height of every scene."""
WIDTH = 12


def boxes(index: int) -> np.ndarray:
    """One to three boxes that do not touch, as fractions of the image: one in each of that many quarters."""
    generator = np.random.default_rng([1, index])
    corners = []
    for quarter in generator.permutation(4)[: generator.integers(1, 4)]:
        low = generator.uniform(0.02, 0.12, 2) + np.array([quarter % 2, quarter // 2]) / 2
        corners.append([*low, *(low + generator.uniform(0.18, 0.34, 2))])
    return np.array(corners)


def informative(index: int, grid: Grid) -> np.ndarray:
    """[N, D]: each token in a box knows the way to the box's centre and its size, linearly mixed, with little noise."""
    y, x = np.meshgrid((np.arange(grid.h) + 0.5) / grid.h, (np.arange(grid.w) + 0.5) / grid.w, indexing="ij")
    facts = np.zeros((grid.h, grid.w, 5))
    for x0, y0, x1, y1 in boxes(index):
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        away = [10 * ((x0 + x1) / 2 - x), 10 * ((y0 + y1) / 2 - y)]
        size = [np.full_like(x, 4 * (x1 - x0)), np.full_like(x, 4 * (y1 - y0))]
        facts[inside] = np.stack([np.ones_like(x), *away, *size], axis=-1)[inside]
    mixed = facts.reshape(-1, 5) @ np.random.default_rng(2).normal(size=(5, WIDTH))
    return mixed + 0.02 * np.random.default_rng([3, index]).normal(size=mixed.shape)


def empty(index: int, grid: Grid) -> np.ndarray:
    """[N, D]: noise that has nothing to do with the scene."""
    return np.random.default_rng([4, index]).normal(size=(grid.tokens, WIDTH))


def pixels(index: int, grid: Grid) -> np.ndarray:
    """[H * W, 3] uint8: bright boxes on a dark ground, 2×2 pixels to a token."""
    height, width = 2 * grid.h, 2 * grid.w
    image = np.full((height, width, 3), 20, np.uint8)
    for x0, y0, x1, y1 in boxes(index):
        image[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = 220
    return image.reshape(-1, 3)


def sample(index: int) -> Sample:
    """An image of 200×100 pixels, so that fractions of width and of height are not the same."""
    objects = [{"box": (box * [200, 100, 200, 100]).tolist(), "category": "thing"} for box in boxes(index)]
    return Sample(
        id=f"scenes/train/{index:04d}",
        dataset="scenes",
        split="train",
        group=f"group-{index}",
        media="image",
        file_name=f"{index:04d}.png",
        width=200,
        height=100,
        annotations={"objects": objects, "qa": {"hallucinated": index % 3 == 0}},
    )


def write(
    root: Path, count: int = 64, *, ragged: bool = False, bad: tuple[int, ...] = (), tars: str = "a", **model: str
) -> Cache:
    """A cache with an informative point, one without information, and pixels."""
    most = Grid(1, SIDE, SIDE + 2 if ragged else SIDE)
    cache = CacheLayout(
        fingerprint={
            "model": {"name": "planted", "weights": "random", "dtype": "bfloat16", "taps": TAPS} | model,
            "dataset": {"name": "scenes"},
            "input": {"size": "16x16"},
        },
        samples_per_shard=PER_SHARD,
        shards=tuple(
            ShardSource(
                name=f"{first}.tar",
                sha256=hashlib.sha256(f"{tars}{first}".encode()).hexdigest(),
                samples=min(PER_SHARD, count - first),
            )
            for first in range(0, count, PER_SHARD)
        ),
        points={
            "vit.block_01": PointLayout.fixed("patch", "bfloat16", most.tokens, WIDTH),
            "vit.block_02": PointLayout.fixed("patch", "bfloat16", most.tokens, WIDTH),
            "pixels": PointLayout.fixed("pixel", "uint8", 4 * most.tokens, 3),
        },
    )
    with CacheWriter(root, cache) as writer:
        for pending in writer.pending(tuple(cache.points)):
            with writer.shard(pending) as shard:
                rows = []
                for position in range(cache.shards[pending.number].samples):
                    index = pending.number * PER_SHARD + position
                    if index in bad:
                        rows.append(SampleRow(sample=sample(index), status="bad", reason="truncated", grids={}))
                        continue
                    grid = Grid(1, SIDE, SIDE + (index % 3 if ragged else 0))
                    shard.add(position, "vit.block_01", informative(index, grid).astype(ml_dtypes.bfloat16))
                    shard.add(position, "vit.block_02", empty(index, grid).astype(ml_dtypes.bfloat16))
                    shard.add(position, "pixels", pixels(index, grid))
                    grids = {"pixel": Grid(1, 2 * grid.h, 2 * grid.w), "patch": grid, "merged": grid}
                    rows.append(SampleRow(sample=sample(index), status="ok", reason=None, grids=grids))
                shard.commit(rows)
    return open_cache(root)
