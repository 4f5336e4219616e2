"""A small set of questions about noise, in the layout of `qa-jsonl`, prepared as shards."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foresight_cache.shards import ShardSet, open_shards
from tests.support.preparing import prepare

QUESTIONS = (("Is there a dog?", "object"), ("Is the big car red?", "attribute"), ("Is there a cat?", "object"))


def picture(number: int, side: int = 112) -> np.ndarray:
    """Returns pixels [H, W, 3] of the size that models here take, so that nothing is resized."""
    return np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)


def write_set(root: Path, images: int = 3, side: int = 112, more: Sequence[Mapping[str, Any]] = ()) -> Path:
    (root / "images").mkdir(parents=True)
    lines: list[Mapping[str, Any]] = []
    for number in range(images):
        Image.fromarray(picture(number, side)).save(root / "images" / f"{number}.png")
        for question, kind in QUESTIONS:
            asked = {"image": f"images/{number}.png", "question": question, "type": kind}
            lines.append({**asked, "references": ["yes" if number % 2 else "no"]})
    (root / "val.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *more]))
    return root


def prepared(folder: Path, samples_per_shard: int = 4, **options: Any) -> ShardSet:
    root = write_set(folder / "set", **options)
    prepare("qa-jsonl", root=root, split="val", out=folder / "S", samples_per_shard=samples_per_shard)
    return open_shards(folder / "S")
