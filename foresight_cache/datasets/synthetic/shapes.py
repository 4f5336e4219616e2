"""Makes scenes with exactly known boxes, in COCO's own layout so that the COCO reader reads them.

A scene has one to five shapes of distinct colours, plain or patterned, on a plain or patterned background.
Nothing is smoothed: every pixel belongs to one object or to the background, so an object's box is the tightest
around its visible pixels, and its outline in the JSON is exactly those pixels.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foresight_cache.errors import UsageError

TAKES_SOURCE = False
SPLIT = "train"
SIDE = 448
"""Height and width of a scene in pixels: 32 patches of 14, so that at that size nothing is resampled."""
MOST_OBJECTS = 5
MOST_HIDDEN = 0.1
"""Share of an object's pixels that the objects in front of it may hide."""

_Bits = NDArray[np.bool_]
_Pixels = NDArray[np.uint8]
_Axis = NDArray[np.float32]

COLOURS = {
    "red": (214, 39, 40),
    "blue": (31, 119, 180),
    "green": (44, 160, 44),
    "yellow": (255, 187, 0),
    "purple": (148, 36, 189),
    "cyan": (23, 200, 207),
    "pink": (255, 105, 180),
}
"""Names of the colours of objects, each with its red, green and blue; a pattern has a darker or lighter tone too."""
_GROUNDS = np.array([(238, 236, 228), (205, 211, 214), (128, 124, 120), (70, 74, 82), (22, 24, 28)], dtype=np.uint8)


def _star(x: _Axis, y: _Axis) -> _Bits:
    """Two triangles, one upside down."""
    return _triangle(x, y) | _triangle(x, -y)


def _triangle(x: _Axis, y: _Axis) -> _Bits:
    return (y <= 0.5) & (y >= 1.7320508 * np.abs(x) - 1)


SHAPES: dict[str, Callable[[_Axis, _Axis], _Bits]] = {
    "circle": lambda x, y: x * x + y * y <= 1,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) <= 0.8,
    "triangle": _triangle,
    "star": _star,
    "diamond": lambda x, y: np.abs(x) + np.abs(y) <= 1,
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) <= 0.3) & (np.maximum(np.abs(x), np.abs(y)) <= 0.9),
}
"""Tests of whether a point is in a shape: x to the right, y down, the shape within the unit circle."""

_PATTERNS: tuple[Callable[[_Axis, _Axis], _Bits], ...] = (
    lambda x, y: np.zeros(np.broadcast_shapes(x.shape, y.shape), bool),
    lambda x, y: (x + y) % 2 < 1,
    lambda x, y: (x - y) % 1.5 < 0.6,
    lambda x, y: (np.floor(x) + np.floor(y)) % 2 < 1,
    lambda x, y: (x % 1.5 - 0.75) ** 2 + (y % 1.5 - 0.75) ** 2 < 0.2,
)
"""Tests of whether a point has the second tone, in coordinates of periods: plain, two stripes, checks, dots."""


def generate(root: Path, *, count: int, seed: int, most: int = MOST_OBJECTS) -> None:
    """Writes `count` scenes of 448×448 pixels and up to `most` objects under a root.

    Scene `i` depends on the seed and on `i` alone, and the same pixels give the same bytes. Raises `UsageError`
    for a count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"{count} scenes with seed {seed} cannot be made; the count is 1 or more, the seed 0 or more")
    folder = root / SPLIT
    folder.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        pixels, owner, names, _ = draw_scene(np.random.default_rng([seed, index]), most)
        name = f"{index:012d}.png"
        Image.fromarray(pixels).save(folder / name, compress_level=1)
        images.append({"id": index, "file_name": name, "width": SIDE, "height": SIDE, "license": 1})
        # COCO's evaluation reads an annotation with id 0 as no annotation, so ids start at 1.
        first = len(annotations)
        annotations += [
            {"id": first + number, "image_id": index, **_annotation(shape, owner == number)}
            for number, shape in enumerate(names, start=1)
        ]
    _write_annotations(root, images, annotations, seed)


def _write_annotations(root: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]], seed: int) -> None:
    document = {
        "info": {"description": "Foresight shapes: synthetic scenes", "version": "1", "seed": seed},
        "licenses": [{"id": 1, "name": "CC0-1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}],
        "categories": [
            {"id": number, "name": name, "supercategory": "shape"} for number, name in enumerate(SHAPES, start=1)
        ],
        "images": images,
        "annotations": annotations,
    }
    path = root / "annotations" / f"instances_{SPLIT}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def draw_scene(random: np.random.Generator, most: int) -> tuple[_Pixels, _Pixels, list[str], list[str]]:
    """Draws one scene.

    Args:
        random: Source of all that is drawn.
        most: Objects, at most.

    Returns:
        Pixels [H, W, 3], the number of the object that each pixel belongs to [H, W] uint8, 0 for the ground, and the
        shapes and the colours of the objects 1, 2, …, from back to front.
    """
    pixels = _painted(random, _GROUNDS[random.integers(len(_GROUNDS))], SIDE, SIDE, strength=0.12)
    owner = np.zeros((SIDE, SIDE), np.uint8)
    colours = [list(COLOURS)[number] for number in random.permutation(len(COLOURS))]
    shapes: list[str] = []
    areas: list[int] = []
    count = int(random.integers(1, most + 1))
    for _ in range(8 * most):
        if len(shapes) == count:
            break
        shape, mask = _random_shape(random)
        after = np.where(mask, np.uint8(len(shapes) + 1), owner)
        if _all_visible(after, areas):
            _paint(random, pixels, mask, np.array(COLOURS[colours[len(shapes)]], np.uint8))
            shapes.append(shape)
            areas.append(int(mask.sum()))
            owner = after
    return pixels, owner, shapes, colours[: len(shapes)]


def _random_shape(random: np.random.Generator) -> tuple[str, _Bits]:
    """Draws a shape of random kind, size, position and turn that lies in the scene, as a mask [H, W]."""
    shape = list(SHAPES)[random.integers(len(SHAPES))]
    radius = random.uniform(24, 100)
    centre_x, centre_y = random.uniform(radius + 1, SIDE - radius - 1, size=2)
    angle = random.uniform(-0.5, 0.5)
    y, x = np.ogrid[:SIDE, :SIDE]
    across = ((x + 0.5 - centre_x) / radius).astype(np.float32)
    down = ((y + 0.5 - centre_y) / radius).astype(np.float32)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return shape, SHAPES[shape](across * cos + down * sin, down * cos - across * sin)


def _all_visible(owner: _Pixels, areas: list[int]) -> bool:
    """Returns whether each of the objects 1, 2, …, of these whole areas, shows nearly all of its pixels."""
    visible = np.bincount(owner.ravel(), minlength=len(areas) + 1)[1 : len(areas) + 1]
    return bool(np.all(visible >= (1 - MOST_HIDDEN) * np.array(areas)))


def _paint(random: np.random.Generator, pixels: _Pixels, mask: _Bits, colour: _Pixels) -> None:
    x, y, width, height = box_around(mask)
    window = np.s_[y : y + height, x : x + width]
    pixels[window][mask[window]] = _painted(random, colour, height, width, strength=0.45)[mask[window]]


def _painted(random: np.random.Generator, colour: _Pixels, height: int, width: int, *, strength: float) -> _Pixels:
    """Paints a rectangle [height, width, 3] of one colour, with a pattern of a darker or lighter tone of it."""
    period = random.uniform(10, 40)
    y, x = np.ogrid[:height, :width]
    axes = (x / period).astype(np.float32), (y / period).astype(np.float32)
    second = _PATTERNS[random.integers(len(_PATTERNS))](*axes)
    towards = 0.0 if colour.mean() > 100 else 255.0
    tone = (colour * (1 - strength) + towards * strength).astype(np.uint8)
    return np.stack([colour, tone])[second.astype(np.intp)]


def box_around(mask: _Bits) -> tuple[int, int, int, int]:
    """Returns x, y, width and height of the tightest box around a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


def _annotation(shape: str, mask: _Bits) -> dict[str, Any]:
    """Returns COCO's entry for the pixels of one object.

    >>> mask = np.zeros((4, 5), bool); mask[1:3, 2:5] = True
    >>> _annotation("square", mask)["bbox"], _annotation("square", mask)["segmentation"]["counts"]
    ([2, 1, 3, 2], [9, 2, 2, 2, 2, 2, 1])
    """
    # Runs down the columns, the first of them outside the mask, as COCO counts them.
    down = np.concatenate([[False], mask.ravel(order="F"), [not mask[-1, -1]]])
    edges = np.flatnonzero(np.diff(down))
    return {
        "category_id": list(SHAPES).index(shape) + 1,
        "bbox": list(box_around(mask)),
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()},
    }
