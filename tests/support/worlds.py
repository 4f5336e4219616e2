"""Small caches of pictures and of clips with every kind of annotation. One point tells all answers linearly, the other
nothing.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter
from foresight_probes.features.patches import patchify
from foresight_probes.metrics.edge_metrics import edge_map

INFORMATIVE, EMPTY = "vit.block_01", "vit.block_02"
PER_SHARD = 64
PICTURE, CLIP = Grid(1, 8, 8), Grid(4, 3, 3)
"""How tokens lie in a picture and in a clip."""
PIXELS = 4
"""Along the side of a token's cell."""
COLOURS = np.array([[25, 25, 25], [230, 60, 60], [60, 230, 60], [90, 90, 240]], np.uint8)
"""Of the background and of the categories 1 to 3."""
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def random(index: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([purpose, index])


def picture_annotations(index: int) -> dict[str, Any]:
    """One to three boxes of different categories in different quarters of 400×200 pixels, and an answer about them."""
    generator = random(index, 1)
    objects = []
    categories = generator.permutation([1, 2, 3])
    for place, quarter in enumerate(generator.permutation(4)[: 1 + index % 3]):
        low = generator.uniform(0.02, 0.1, 2) + np.array([quarter % 2, quarter // 2]) / 2
        box = np.array([*low, *(low + generator.uniform(0.22, 0.36, 2))]) * [400, 200, 400, 200]
        name = int(categories[place])
        area = float((box[2] - box[0]) * (box[3] - box[1]))
        objects.append(
            {"box": box.tolist(), "category": f"kind {name}", "category_id": name, "crowd": False, "area": area}
        )
    return {
        "objects": objects,
        "qa": {"question": "What is there?", "answer": "A thing.", "hallucinated": bool(generator.random() < 0.4)},
    }


def fractions(annotations: dict[str, Any]) -> list[tuple[int, np.ndarray]]:
    return [(each["category_id"], np.array(each["box"]) / [400, 200, 400, 200]) for each in annotations["objects"]]


def labels(annotations: dict[str, Any]) -> np.ndarray:
    """uint8 [1, H, W, 1]: the category of each pixel, 0 for none."""
    height, width = PICTURE.h * PIXELS, PICTURE.w * PIXELS
    categories = np.zeros((1, height, width, 1), np.uint8)
    for name, (x0, y0, x1, y1) in fractions(annotations):
        categories[0, round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = name
    return categories


def picture_facts(annotations: dict[str, Any]) -> np.ndarray:
    """[N, facts]: what each token knows: its pixels, its edges, its class, its way to the box, and all answers."""
    classes = labels(annotations)
    pixels = COLOURS[classes[..., 0]]
    edges = edge_map(pixels[0])[None, ..., None]
    y, x = np.meshgrid(*((np.arange(side) + 0.5) / side for side in (PICTURE.h, PICTURE.w)), indexing="ij")
    boxes = np.zeros((PICTURE.h, PICTURE.w, 4 + 4))
    for name, (x0, y0, x1, y1) in fractions(annotations):
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        way = [
            10 * ((x0 + x1) / 2 - x),
            10 * ((y0 + y1) / 2 - y),
            np.full_like(x, 4 * (x1 - x0)),
            np.full_like(x, 4 * (y1 - y0)),
        ]
        boxes[inside, :4] = np.stack(way, axis=-1)[inside]
        boxes[inside, 4 + name] = 1
    boxes[..., 4] = boxes[..., 4:].sum(-1) == 0
    answers = [len(annotations["objects"]), annotations["qa"]["hallucinated"], *relation(annotations)]
    parts = [
        patchify(torch.from_numpy(pixels), PICTURE).numpy() / 100,
        2 * patchify(torch.from_numpy(edges), PICTURE).numpy(),
        boxes.reshape(PICTURE.tokens, -1),
        np.tile(np.array(answers, float), (PICTURE.tokens, 1)),
    ]
    return np.concatenate(parts, axis=1)


def relation(annotations: dict[str, Any]) -> list[float]:
    """Where the first category is, seen from the second, as fractions; zeros unless there are two."""
    boxes = [box for _, box in sorted(fractions(annotations), key=lambda pair: pair[0])]
    if len(boxes) != 2:
        return [0, 0]
    away = (boxes[0][:2] + boxes[0][2:] - boxes[1][:2] - boxes[1][2:]) / 2
    return [float(value) for value in away]


def clip_annotations(index: int) -> dict[str, Any]:
    generator = random(index, 2)
    way = str(generator.choice(list(WAYS)))
    speed = float(generator.uniform(1, 20))
    start = generator.uniform(60, 140, 2)
    velocity = speed * np.array(WAYS[way])
    thing = {
        "positions": [(start + step * velocity).tolist() for step in range(CLIP.t)],
        **{"velocity": velocity.tolist(), "speed": speed, "direction": way, "category": "kind 1"},
    }
    name = int(generator.integers(0, 7))
    return {
        "motion": {"objects": [thing]},
        "action": {"label": "Moving", "template": f"Doing {name}", "class": f"Doing {name}", "class_id": name},
    }


def clip_facts(annotations: dict[str, Any], index: int) -> np.ndarray:
    """[N, facts]: direction, speed, action, the time, and a state per cell that turns by a fixed angle in each step."""
    (thing,) = annotations["motion"]["objects"]
    answers = [*(np.array(list(WAYS)) == thing["direction"]), thing["speed"] / 10]
    answers += list(np.arange(7) == annotations["action"]["class_id"])
    steps = np.arange(CLIP.t)
    state = random(index, 3).normal(size=(CLIP.h * CLIP.w, 4, 2))
    angle = steps[:, None] * np.array([0.8, 1.1, 1.7, 2.5])
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # [2, 2, T, 4]
    turned = np.einsum("abtk,ckb->tcka", turn, state).reshape(CLIP.tokens, -1)
    fixed = np.tile(np.array(answers, float), (CLIP.tokens, 1))
    return np.concatenate([fixed, np.repeat(steps, CLIP.h * CLIP.w)[:, None] / 2, turned], axis=1)


def mixed(facts: np.ndarray, index: int) -> np.ndarray:
    """[N, D]: a linear mixture of the facts, invertible, with little noise."""
    width = facts.shape[1]
    rotation = np.linalg.qr(np.random.default_rng(4).normal(size=(width, width)))[0]
    return facts @ rotation + 0.02 * random(index, 5).normal(size=facts.shape)


def sample(index: int, annotations: dict[str, Any], media: str) -> Sample:
    size = {"image": (400, 200), "clip": (200, 200)}[media]
    return Sample(
        **{"id": f"worlds/train/{index:04d}", "dataset": "worlds", "split": "train", "group": f"group-{index}"},
        **{"media": media, "file_name": f"{index:04d}.{media}", "width": size[0], "height": size[1]},  # type: ignore[arg-type]
        annotations=annotations,
    )


def write(root: Path, count: int, grid: Grid, made: Callable[[int], tuple[Sample, dict[str, np.ndarray]]]) -> Cache:
    """A cache whose sample number i has these arrays [N, D] by point."""
    _, arrays = made(0)
    dtypes = {np.dtype(np.uint8): "uint8", np.dtype(ml_dtypes.bfloat16): "bfloat16"}
    points = {
        name: PointLayout.fixed("pixel" if array.dtype == np.uint8 else "patch", dtypes[array.dtype], *array.shape)
        for name, array in arrays.items()
    }
    shards = [min(PER_SHARD, count - first) for first in range(0, count, PER_SHARD)]
    layout = CacheLayout(
        fingerprint={
            "model": {
                "name": "planted",
                "weights": "random",
                "dtype": "bfloat16",
                "taps": [name for name in points if name not in ("pixels", "labels")],
            },
            "dataset": {"name": "worlds"},
            "input": {"size": "32x32"},
        },
        samples_per_shard=PER_SHARD,
        shards=tuple(
            ShardSource(name=f"{number}.tar", sha256=hashlib.sha256(b"%d" % number).hexdigest(), samples=size)
            for number, size in enumerate(shards)
        ),
        points=points,
    )
    pixels = Grid(grid.t, PIXELS * grid.h, PIXELS * grid.w)
    with CacheWriter(root, layout) as writer:
        for pending in writer.pending(tuple(points)):
            with writer.shard(pending) as shard:
                rows = []
                for position in range(shards[pending.number]):
                    each, arrays = made(pending.number * PER_SHARD + position)
                    for name, array in arrays.items():
                        shard.add(position, name, array)
                    grids = {"pixel": pixels, "patch": grid, "merged": grid}
                    rows.append(SampleRow(sample=each, status="ok", reason=None, grids=grids))
                shard.commit(rows)
    return open_cache(root)


def write_pictures(root: Path, count: int, *, dense: bool = False) -> Cache:
    """With `dense`, samples tell of the dense labels, which otherwise are not there."""

    def made(index: int) -> tuple[Sample, dict[str, np.ndarray]]:
        annotations = picture_annotations(index)
        classes = labels(annotations)
        arrays = {
            INFORMATIVE: mixed(picture_facts(annotations), index).astype(ml_dtypes.bfloat16),
            EMPTY: mixed(random(index, 6).normal(size=(PICTURE.tokens, 12)), index).astype(ml_dtypes.bfloat16),
            "pixels": COLOURS[classes[..., 0]].reshape(-1, 3),
        }
        if dense:
            arrays["labels"] = classes.reshape(-1, 1)
            annotations = {**annotations, "labels": {"classes": ["nothing", "one", "two", "three"], "ignore": None}}
        return sample(index, annotations, "image"), arrays

    return write(root, count, PICTURE, made)


def write_clips(root: Path, count: int) -> Cache:
    def made(index: int) -> tuple[Sample, dict[str, np.ndarray]]:
        annotations = clip_annotations(index)
        height, width = PIXELS * CLIP.h, PIXELS * CLIP.w
        return sample(index, annotations, "clip"), {
            INFORMATIVE: mixed(clip_facts(annotations, index), index).astype(ml_dtypes.bfloat16),
            EMPTY: random(index, 6).normal(size=(CLIP.tokens, 12)).astype(ml_dtypes.bfloat16),
            "pixels": np.zeros((CLIP.t * height * width, 3), np.uint8),
        }

    return write(root, count, CLIP, made)
