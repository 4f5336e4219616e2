"""Makes the golden caches of each format, and beside them what a reader must find in them.

    python tests/golden/make.py

They are made once for each format and then never again: every later version has to read these very bytes. What is
expected comes from the formula below and is written before the caches are, so that nothing of it was ever read back.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from foresight_cache.format.codecs import CodecName
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter

HERE = Path(__file__).parent

Grids = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """One cache as it shall be."""

    samples_per_shard: int
    grids: tuple[Grids | None, ...]
    """Of each sample by level; none for one that is quarantined."""
    points: Mapping[str, PointLayout]
    unfinished: tuple[tuple[str, int], ...] = ()
    """Points that were not added to a shard yet."""
    clips: tuple[int, ...] = ()
    """Samples that are clips."""

    def compressed(self, **codecs: CodecName) -> "Golden":
        """The same cache with other codecs, by point; a codec of none for those that are not named."""
        points = {name: replace(point, codec=codecs.get(name, "none")) for name, point in self.points.items()}
        return replace(self, points=points)


GOLDEN = {
    "fixed": Golden(
        samples_per_shard=3,
        grids=tuple(
            {"pixel": (1, 8, 12), "patch": (1, 4, 6), "merged": (1, 2, 3)} if slot != 3 else None for slot in range(5)
        ),
        points={
            "vit.block_01": PointLayout.fixed("patch", "bfloat16", 24, 8),
            "vit.post_merge": PointLayout.fixed("merged", "float32", 6, 10),
            "llm.layer_01": PointLayout.fixed("merged", "float16", 6, 10),
            "vit.post_merge@mean": PointLayout.fixed("pooled", "bfloat16", 1, 10),
            "labels": PointLayout.fixed("pixel", "uint8", 96, 1),
            "pixels": PointLayout.fixed("pixel", "uint8", 96, 3),
        },
    ),
    "ragged": Golden(
        samples_per_shard=2,
        grids=(
            None,
            {"pixel": (1, 20, 28), "patch": (1, 10, 14), "merged": (1, 5, 7)},  # more patches than a chunk holds
            {"pixel": (4, 12, 8), "patch": (2, 6, 4), "merged": (2, 3, 2)},  # a clip
        ),
        points={
            "vit.block_01": PointLayout.ragged("patch", "bfloat16", 200, 4),
            "llm.layer_01": PointLayout.ragged("merged", "bfloat16", 50, 6),
            "pixels": PointLayout.ragged("pixel", "uint8", 600, 3),
        },
        unfinished=(("llm.layer_01", 1),),
        clips=(2,),
    ),
}


def values(slot: int, point: str, tokens: int, width: int) -> np.ndarray:
    """What a point holds of a sample, float32 [N, D]: sixteenths from -8 to 7.9375; of pixels and labels whole numbers.

    Number c of token n is ((31 · slot + 7 · n + 3 · c + length of the point's name) mod 256 - 128) / 16, which every
    number type holds exactly.
    """
    n, c = np.arange(tokens)[:, None], np.arange(width)
    steps = (31 * slot + 7 * n + 3 * c + len(point)) % 256
    return (steps if point in ("pixels", "labels") else (steps - 128) / 16).astype(np.float32)


FORMATS: Mapping[int, Mapping[str, Golden]] = {
    1: GOLDEN,
    2: {
        "fixed": GOLDEN["fixed"].compressed(
            **{"vit.block_01": "lz4", "vit.post_merge": "zstd", "llm.layer_01": "small", "labels": "lz4"}
        ),
        "ragged": GOLDEN["ragged"].compressed(**{"vit.block_01": "small", "llm.layer_01": "lz4", "pixels": "zstd"}),
    },
}
"""The same contents in each format."""


def main(folder: Path, caches: Mapping[str, Golden] = GOLDEN) -> None:
    """Refuses a folder that is there."""
    if folder.exists():
        sys.exit(f"{folder} is there; golden caches are never made again, since older versions wrote these bytes")
    folder.mkdir(parents=True)
    write_expected(folder)
    for name, golden in caches.items():
        write_cache(folder / name, golden)


def write_expected(folder: Path) -> None:
    """`expected.json` with what is said of samples, `expected.npz` with each good sample's float32 [N, D]."""
    arrays, samples = {}, {}
    for name, golden in GOLDEN.items():
        samples[name] = [
            {
                "id": _id(slot),
                "status": "ok" if grids else "bad",
                "grids": grids,
                "frames": CLIP_FRAMES if slot in golden.clips else (0,),
            }
            for slot, grids in enumerate(golden.grids)
        ]
        for slot, grids in enumerate(golden.grids):
            for point, layout in golden.points.items() if grids else ():
                arrays[f"{name}/{point}/{slot}"] = values(slot, point, tokens(grids, layout), layout.width)
    (folder / "expected.json").write_text(json.dumps(samples, indent=1) + "\n")
    np.savez_compressed(folder / "expected.npz", **arrays)


def tokens(grids: Grids | None, layout: PointLayout) -> int:
    """Of one sample: those of its grid, or the one vector that was pooled from them."""
    return int(np.prod((grids or {}).get(layout.level, (1, 1, 1))))


def write_cache(root: Path, golden: Golden) -> None:
    """Through the writer, as an extraction does; the unfinished points are planned and not written."""
    with CacheWriter(root, planned(golden)) as cache:
        for pending in cache.pending([name for name in golden.points if name not in dict(golden.unfinished)]):
            _write_shard(cache, pending, golden)
    for point, unwritten in golden.unfinished:
        with CacheWriter(root, planned(golden)) as cache:
            for pending in cache.pending([point]):
                if pending.number != unwritten:
                    _write_shard(cache, pending, golden)


def _write_shard(cache: CacheWriter, pending: Any, golden: Golden) -> None:
    rows = []
    with cache.shard(pending) as shard:
        for position in range(cache.layout.shards[pending.number].samples):
            slot = pending.number * golden.samples_per_shard + position
            grids = golden.grids[slot]
            for point in pending.points if grids else ():
                layout = golden.points[point]
                numbers = values(slot, point, tokens(grids, layout), layout.width)
                shard.add(position, point, numbers.astype(_TYPES[layout.dtype]))
            rows.append(
                SampleRow(
                    sample=_sample(slot, slot in golden.clips),
                    status="ok" if grids else "bad",
                    reason=None if grids else "the image is damaged: cut off",
                    grids={level: Grid(*grid) for level, grid in (grids or {}).items()},
                    frames=CLIP_FRAMES if slot in golden.clips else (0,),
                )
            )
        shard.commit(rows)


_TYPES = {"bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float16": np.float16, "uint8": np.uint8}


def planned(golden: Golden) -> CacheLayout:
    """The layout, with shards whose digests are made up."""
    counts = [
        len(golden.grids[first : first + golden.samples_per_shard])
        for first in range(0, len(golden.grids), golden.samples_per_shard)
    ]
    return CacheLayout(
        fingerprint=FINGERPRINT,
        samples_per_shard=golden.samples_per_shard,
        shards=tuple(
            ShardSource(name=f"shard-{number:06d}.tar", sha256=f"{number + 1:x}" * 64, samples=count)
            for number, count in enumerate(counts)
        ),
        points=golden.points,
    )


def _id(slot: int) -> str:
    return f"golden/train/{slot:04d}"


CLIP_FRAMES = (0, 4, 9, 13)
"""Which of a clip's fifteen frames were taken."""


def _sample(slot: int, clip: bool) -> Sample:
    box = [0.5 * slot, 1.0, 8.25, 7.0]
    described = {"box": box, "category": "café", "category_id": 3, "crowd": False, "area": None}
    return Sample(
        id=_id(slot),
        dataset="golden",
        split="train",
        group=f"golden/scene-{slot // 2}",
        media="clip" if clip else "image",
        file_name=f"train/{slot:04d}.{'webm' if clip else 'png'}",
        width=12,
        height=8,
        frames=15 if clip else 1,
        frames_per_second=12.5 if clip else None,
        annotations={"objects": [described] * (slot % 3)},
    )


FINGERPRINT = {
    "model": {
        "name": "someone/golden-7b",
        "family": "qwen2_5_vl",
        "revision": None,
        "weights": "pretrained",
        "weights_digest": "a" * 64,
        "dtype": "bfloat16",
        "attention": "sdpa",
        "prompt": "Décris l’image.",
        "image_processor": {"image_mean": [0.48145466, 0.4578275, 0.40821073], "rescale_factor": 0.00392156862745098},
        "taps": ["vit.block_01", "vit.post_merge", "llm.layer_01", "llm.layer_02"],
    },
    "dataset": {"name": "golden", "manifest_sha256": "b" * 64},
    "input": {"size": "8x12", "resize": "bicubic, antialiased", "frames": 8},
    "execution": {"batch_tokens": 2048, "device": "cpu"},
    "libraries": {"torch": "2.14.1"},
}


if __name__ == "__main__":
    missing = [number for number in FORMATS if not (HERE / f"format-{number}").exists()]
    for number in missing or [max(FORMATS)]:
        main(HERE / f"format-{number}", FORMATS[number])
