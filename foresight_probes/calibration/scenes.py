"""Drawn scenes and clips: what there is to be known in a planted cache, a function of seed and sample number alone."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from foresight_cache.samples import Grid

World = Literal["several", "single", "pair", "clip"]
"""Kinds of scenes: images of one to five objects, of one, of two that lie clearly beside each other, or clips."""
WORLDS: tuple[World, ...] = get_args(World)

SIZE = 320
"""Width and height of the original media, in pixels."""
IMAGE_PIXELS, CLIP_PIXELS = 32, 24
"""Width and height of the model's input in pixels, which grids of 4, 8 and 16, or of 3 and 6, rows divide."""
FRAMES = 4
STATE_ROWS = 3
"""Rows and columns of the cells of a clip that each have a state."""
CATEGORIES = 5
"""Categories of objects, numbered from 1; no two objects of a scene have the same."""
MOST_OBJECTS = 5
KINDS = 4
"""Classes of a whole scene."""
SHORTEST, LONGEST = 0.2, 0.42
"""Sides of a box, as fractions of the image: at least one and a half cells of a grid of eight."""
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
SLOWEST, FASTEST = 2.0, 20.0
"""Speeds in pixels of the original per frame."""
ACTIONS = 4
ANGLES = np.array([0.8, 1.1, 1.7, 2.5])
"""Angles by which the pairs of numbers in each cell of a clip turn from frame to frame, in radians."""

_OBJECT_COUNTS: dict[World, tuple[int, int]] = {"several": (1, MOST_OBJECTS), "single": (1, 1), "pair": (2, 2)}
_APART = 1.5
"""Ratio of the distances of a pair along the two axes, well beyond the ratio from which the task has an answer."""
_COLOURS = np.array([[40, 40, 40], [220, 60, 60], [60, 220, 60], [80, 80, 230], [220, 220, 70], [60, 210, 220]], float)
_TEXTURE = 12.0
"""Deviation of the pixels' values, of 255, from the colour of what they show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """An image with its objects, an answer about it, and its class."""

    boxes: np.ndarray
    """[K, 4] float64 (x0, y0, x1, y1) as fractions of the image, the largest first; no two overlap."""
    categories: np.ndarray
    """[K] int64."""
    hallucinated: bool
    kind: int
    """Class of the scene, from 0."""
    pixels: np.ndarray
    """[1, H, W, 3] uint8."""

    def annotations(self) -> dict[str, Any]:
        """Returns the annotations as a sample has them, in pixels of the original."""
        objects = []
        for number, box in enumerate(self.boxes * SIZE):
            category = int(self.categories[number])
            objects.append(
                {
                    **{"box": box.tolist(), "category": f"category {category}", "category_id": category},
                    **{"crowd": False, "area": float((box[2:] - box[:2]).prod()), "annotation_id": number},
                }
            )
        question = {"question": "What is there?", "answer": "An object.", "hallucinated": self.hallucinated}
        return {"objects": objects, "qa": question, "class": {"name": f"kind {self.kind}", "id": self.kind}}

    def relation(self) -> str | None:
        """Returns where the object of the lower category lies, seen from the other; None unless there are two."""
        if len(self.boxes) != 2:
            return None
        first, second = self.boxes[np.argsort(self.categories)]
        across, down = (first[:2] + first[2:] - second[:2] - second[2:]) / 2
        if abs(across) > abs(down):
            return "left" if across < 0 else "right"
        return "above" if down < 0 else "below"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A clip of one moving object, with an action and a state in each cell."""

    direction: str
    speed: float
    action: int
    states: np.ndarray
    """[T, h · w, 4, 2] float64: pairs of numbers that turn by a fixed angle in each step."""
    pixels: np.ndarray
    """[T, H, W, 3] uint8."""

    def annotations(self) -> dict[str, Any]:
        """Returns the annotations as a sample has them, in pixels of the original."""
        velocity = self.speed * np.array(DIRECTIONS[self.direction], float)
        track = {
            "positions": [(SIZE / 2 + step * velocity).tolist() for step in range(FRAMES)],
            **{"velocity": velocity.tolist(), "speed": self.speed, "direction": self.direction, "category": "thing"},
        }
        name = f"Doing {self.action}"
        action = {
            **{"label": name, "template": name, "class": name, "class_id": self.action},
            **{"direction": None, "placeholders": []},
        }
        return {"motion": {"objects": [track]}, "action": action}


def draw_scene(world: World, seed: int, number: int) -> Scene:
    """Draws the scene of a sample number."""
    generator = np.random.default_rng([seed, number, WORLDS.index(world)])
    least, most = _OBJECT_COUNTS[world]
    boxes = _boxes(generator, int(generator.integers(least, most + 1)), apart=world == "pair")
    categories = 1 + generator.permutation(CATEGORIES)[: len(boxes)]
    return Scene(
        boxes=boxes,
        categories=categories,
        hallucinated=bool(generator.random() < 0.5),
        kind=int(generator.integers(KINDS)),
        pixels=_picture(generator, boxes, categories, pixel_grid(world).h)[None],
    )


def draw_clip(seed: int, number: int) -> Clip:
    """Draws the clip of a sample number."""
    generator = np.random.default_rng([seed, number, WORLDS.index("clip")])
    direction = str(generator.choice(list(DIRECTIONS)))
    speed = float(generator.uniform(SLOWEST, FASTEST))
    start = generator.normal(size=(STATE_ROWS**2, len(ANGLES), 2))
    step = speed / SIZE * np.array(DIRECTIONS[direction], float)
    side = pixel_grid("clip").h
    low = [np.array([0.35, 0.35]) + time * step for time in range(FRAMES)]
    frames = [_picture(generator, np.array([[*corner, *(corner + 0.3)]]), np.array([1]), side) for corner in low]
    return Clip(
        direction=direction,
        speed=speed,
        action=int(generator.integers(ACTIONS)),
        states=_turned(start),
        pixels=np.stack(frames),
    )


def draw(world: World, seed: int, number: int) -> Scene | Clip:
    """Draws a scene or a clip, of whichever the world is made."""
    return draw_clip(seed, number) if world == "clip" else draw_scene(world, seed, number)


def grid_of(world: World, rows: int) -> Grid:
    """Returns the grid of tokens with so many rows and columns."""
    return Grid(FRAMES if world == "clip" else 1, rows, rows)


def pixel_grid(world: World) -> Grid:
    """Returns the grid of the pixels."""
    return Grid(FRAMES, CLIP_PIXELS, CLIP_PIXELS) if world == "clip" else Grid(1, IMAGE_PIXELS, IMAGE_PIXELS)


def _boxes(generator: np.random.Generator, count: int, *, apart: bool) -> np.ndarray:
    """Draws boxes until so many lie in the image without an overlap."""
    while True:
        boxes: list[np.ndarray] = []
        for _ in range(40):
            sides = generator.uniform(SHORTEST, LONGEST, 2)
            low = generator.uniform(0, 1 - sides)
            box = np.array([*low, *(low + sides)])
            if all(_disjoint(box, other) for other in boxes):
                boxes.append(box)
            if len(boxes) == count:
                break
        if len(boxes) == count and not (apart and not _is_clear(*boxes)):
            drawn = np.stack(boxes)
            largest_first: np.ndarray = drawn[np.argsort(-(drawn[:, 2:] - drawn[:, :2]).prod(1))]
            return largest_first


def _disjoint(first: np.ndarray, second: np.ndarray) -> bool:
    return bool((np.minimum(first[2:], second[2:]) <= np.maximum(first[:2], second[:2])).any())


def _is_clear(first: np.ndarray, second: np.ndarray) -> bool:
    distances = np.abs(first[:2] + first[2:] - second[:2] - second[2:])
    return bool(distances.max() > _APART * distances.min())


def _picture(generator: np.random.Generator, boxes: np.ndarray, categories: np.ndarray, side: int) -> np.ndarray:
    """Draws boxes of their categories' colours with a fine texture, [side, side, 3] uint8."""
    picture = np.tile(_COLOURS[0], (side, side, 1))
    for (x0, y0, x1, y1), category in zip((boxes * side).round().astype(int).clip(0), categories, strict=True):
        picture[y0:y1, x0:x1] = _COLOURS[category]
    picture += _TEXTURE * generator.normal(size=picture.shape)
    rounded: np.ndarray = picture.clip(0, 255).round().astype(np.uint8)
    return rounded


def _turned(start_NK2: np.ndarray) -> np.ndarray:
    """Returns the states of all frames, [T, N, K, 2]: each pair turned by its angle once more in every step."""
    angles_TK = np.arange(FRAMES)[:, None] * ANGLES
    turn = np.array([[np.cos(angles_TK), -np.sin(angles_TK)], [np.sin(angles_TK), np.cos(angles_TK)]])
    turned: np.ndarray = np.einsum("abtk,nkb->tnka", turn, start_NK2)
    return turned
