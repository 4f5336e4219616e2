"""Caches of tokens and of latents of the same made-up clips, written through the real writer.

Latents are what a test says they are of the tokens; nothing of the adapters' own code takes part in that.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, Level, PointLayout, ShardSource
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter

FRAMES, SIDE = 9, 64
LATENT, FINE, COARSE = Grid(2, 2, 2), Grid(9, 4, 4), Grid(5, 2, 2)
"""Grids of latents, of tokens of each frame, and of tokens of pairs of frames; the last pair lacks one."""
FRAMES_OF_STEP = ((0,), tuple(range(1, 9)))
"""Frames of the two steps of a latent of nine frames."""

Arrays = Mapping[str, np.ndarray]
"""Tokens [S, N, D] of each point."""


def tokens(samples: int, seed: int = 0, width: int = 5) -> Arrays:
    """Tokens of noise at two points, all independent of each other."""
    draw = np.random.default_rng(seed)
    return {
        "vit.pre_merge": draw.normal(size=(samples, FINE.tokens, width)).astype(np.float32),
        "llm.layer_01": draw.normal(size=(samples, COARSE.tokens, width)).astype(np.float32),
    }


def cell_means(tokens_SND: np.ndarray, frame_shift: int = 0) -> np.ndarray:
    """The mean over the tokens of FINE in each cell of the latent, [S, Q, D], token by token in plain loops.

    With a shift each step has the frames that many later, the last one again where there are no more.
    """
    grid_STYXD = tokens_SND.reshape(len(tokens_SND), *FINE, -1)
    cells = []
    for frames in FRAMES_OF_STEP:
        shifted = [min(frame + frame_shift, FRAMES - 1) for frame in frames]
        for y in range(LATENT.h):
            for x in range(LATENT.w):
                part = grid_STYXD[:, shifted][:, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                cells.append(part.mean(axis=(1, 2, 3)))
    return np.stack(cells, 1)


def coarse_means(tokens_SND: np.ndarray) -> np.ndarray:
    """The same of the tokens of COARSE: each frame has the token of its pair."""
    grid_STYXD = tokens_SND.reshape(len(tokens_SND), *COARSE, -1)
    pairs = [[frame // 2 for frame in frames] for frames in FRAMES_OF_STEP]
    return np.concatenate([grid_STYXD[:, own].mean(1).reshape(len(tokens_SND), 4, -1) for own in pairs], 1)


def linear(means_SQD: np.ndarray, channels: int = 3, seed: int = 1) -> np.ndarray:
    """A linear map of means to latents of unit variance, [S, Q, channels], plus a constant of each channel."""
    draw = np.random.default_rng(seed)
    latents = means_SQD @ draw.normal(size=(means_SQD.shape[2], channels))
    deviation = latents.std(axis=(0, 2), keepdims=True)  # of each cell: a single frame's mean varies more
    latents = latents / deviation + draw.normal(size=channels)
    return np.asarray(latents, np.float32)


def write(
    place: Path,
    arrays: Arrays,
    levels: Mapping[Level, Grid],
    *,
    change: Callable[[int], Mapping[str, Any]] = lambda _: {},
    groups: int | None = None,
    bad: Sequence[int] = (),
    model: Mapping[str, Any] | None = None,
) -> Cache:
    """Writes a cache. `change` gives fields of a sample's row that are other than usual; `groups` is their number."""
    samples = len(next(iter(arrays.values())))
    level_of = {grid.tokens: level for level, grid in levels.items()}
    points = {
        name: PointLayout.fixed(
            level_of[own.shape[1]], "uint8" if own.dtype == np.uint8 else "float32", own.shape[1], own.shape[2]
        )
        for name, own in arrays.items()
    }
    layout = CacheLayout(
        fingerprint={
            "model": {"name": "planted", "weights": "random", "dtype": "float32", "taps": [*points], **(model or {})},
            "dataset": {"name": "planted"},
            "input": {"size": f"{SIDE}x{SIDE}"},
            "planted": hashlib.sha256(b"".join(own.tobytes() for own in arrays.values())).hexdigest(),
        },
        samples_per_shard=samples,
        shards=(ShardSource(name="shard-000000.tar", sha256="0" * 64, samples=samples),),
        points=points,
    )
    with CacheWriter(place, layout) as writer:
        for pending in writer.pending(tuple(points)):
            with writer.shard(pending) as shard:
                rows = []
                for number in range(samples):
                    if number in bad:
                        rows.append(SampleRow(sample=_sample(number, groups), status="bad", reason="cut", grids={}))
                        continue
                    for name, own in arrays.items():
                        shard.add(number, name, own[number])
                    rows.append(_row(number, groups, levels, change(number)))
                shard.commit(rows)
    return open_cache(place)


def write_tokens(place: Path, arrays: Arrays, **how: Any) -> Cache:
    return write(place, arrays, {"pixel": Grid(FRAMES, SIDE, SIDE), "patch": FINE, "merged": COARSE}, **how)


def write_latents(place: Path, latents_SQC: np.ndarray, **how: Any) -> Cache:
    levels: dict[Level, Grid] = {"pixel": Grid(FRAMES, SIDE, SIDE), "patch": LATENT}
    return write(place, {"vae.latent": latents_SQC}, levels, **how)


def _sample(number: int, groups: int | None, **other: str) -> Sample:
    usual = Sample(
        id=f"planted/train/{number:04d}",
        dataset="planted",
        split="train",
        group=f"clip-{number if groups is None else number % groups}",
        media="clip",
        file_name=f"{number}.mp4",
        width=64,
        height=64,
        frames=FRAMES,
    )
    return replace(usual, **other)  # type: ignore[arg-type]


def _row(number: int, groups: int | None, levels: Mapping[Level, Grid], other: Mapping[str, Any]) -> SampleRow:
    fields: dict[str, Any] = {"grids": dict(levels), "frames": tuple(range(FRAMES)), **other}
    own = {name: fields.pop(name) for name in ("id", "group") if name in fields}
    return SampleRow(sample=_sample(number, groups, **own), status="ok", reason=None, **fields)
