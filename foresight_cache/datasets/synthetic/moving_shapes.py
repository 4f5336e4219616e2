"""Makes clips of shapes that move straight on and draw a line behind them, beside others that stay where they are.

The line makes time's arrow visible: played backwards it becomes shorter. Two shapes that move do so towards each other
or away from each other. Every shape has a colour of its own, and no shape ever hides a part of another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresight_cache.datasets.parts.motion_files import write_motion
from foresight_cache.datasets.parts.trajectories import Trajectory
from foresight_cache.datasets.synthetic.shapes import SHAPES
from foresight_cache.errors import UsageError
from foresight_cache.media.images import Pixels

TAKES_SOURCE = False
SIDE = 112
"""Height and width of a frame in pixels: a quarter of 448, and 8 patches of 14."""
FRAMES = 16
FRAMES_PER_SECOND = 8.0
FASTEST = 4
"""Pixels per frame."""
STILL = 2
"""Shapes that do not move, at most."""
ACTIONS: Mapping[str, tuple[str, tuple[tuple[int, int], ...]]] = {
    "Moving something left": ("left", ((-1, 0),)),
    "Moving something right": ("right", ((1, 0),)),
    "Moving something up": ("up", ((0, -1),)),
    "Moving something down": ("down", ((0, 1),)),
    "Moving something and something closer to each other": ("together", ((1, 0), (-1, 0))),
    "Moving something and something away from each other": ("apart", ((-1, 0), (1, 0))),
}
"""Direction and the steps of what moves, to the right and down, by class; of two the first is the one on the left."""

_TRIES = 64
_RADII = (8, 15)
_LINE = 2
"""Pixels on either side of a path that its line covers."""
_COLOURS = {
    "red": (214, 39, 40),
    "blue": (31, 119, 180),
    "green": (44, 160, 44),
    "yellow": (255, 187, 0),
}
_GROUNDS = np.array([(238, 236, 228), (205, 211, 214), (128, 124, 120), (22, 24, 28)], np.uint8)
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Thing:
    shape: str
    colour: str
    mask: _Mask
    """Its pixels around its centre, [2 R + 1, 2 R + 1]."""
    path: tuple[tuple[int, int], ...]
    """Its centre in each frame, x and y: a pixel."""

    @property
    def radius(self) -> int:
        return len(self.mask) // 2

    @property
    def moves(self) -> bool:
        return self.path[0] != self.path[-1]

    def box(self, time: int) -> list[float]:
        """Returns the corners of the tightest box around its pixels in a frame."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        x, y = (centre - self.radius for centre in self.path[time])
        ends = (x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1)
        return [float(end) for end in ends]


def generate(root: Path, *, count: int, seed: int) -> None:
    """Writes `count` clips of 16 frames of 112×112 pixels under a root, as `motion_folder` reads them.

    Clip `i` depends on the seed and on `i` alone. Raises `UsageError` for a count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"{count} clips with seed {seed} cannot be made; the count is 1 or more, the seed 0 or more")
    write_motion(root, (_clip(np.random.default_rng([seed, index])) for index in range(count)), FRAMES_PER_SECOND)


def _clip(random: np.random.Generator) -> tuple[Iterator[Pixels], dict[str, Any]]:
    action = list(ACTIONS)[random.integers(len(ACTIONS))]
    colours = [str(colour) for colour in random.permutation(list(_COLOURS))]
    ground = _GROUNDS[random.integers(len(_GROUNDS))]
    things: list[_Thing] = []
    while not things:  # two that move towards each other may have been drawn too near
        things = _moving(random, ACTIONS[action][1], colours)
    still = int(random.integers(STILL + 1))
    for _ in range(_TRIES):
        if still == 0:
            break
        radius = int(random.integers(*_RADII))
        place = (int(random.integers(radius, SIDE - radius)), int(random.integers(radius, SIDE - radius)))
        thing = _thing(random, radius, (place,) * FRAMES, colours[len(things)])
        if all(_stay_apart(thing, other) for other in things):
            things.append(thing)
            still -= 1
    return (_frame(things, ground, time) for time in range(FRAMES)), _said(action, things)


def _moving(random: np.random.Generator, steps: tuple[tuple[int, int], ...], colours: list[str]) -> list[_Thing]:
    """Draws what moves; nothing where two would come too near to each other."""
    speed = int(random.integers(1, FASTEST + 1)) if len(steps) == 1 else int(random.integers(1, FASTEST // 2 + 1))
    things = []
    height = int(random.integers(_RADII[1], SIDE - _RADII[1]))
    for number, step in enumerate(steps):
        radius = int(random.integers(*_RADII))
        way = speed * (FRAMES - 1)
        lows = [radius + (way if along < 0 else 0) for along in step]
        highs = [SIDE - 1 - radius - (way if along > 0 else 0) for along in step]
        x, y = (int(random.integers(low, high + 1)) for low, high in zip(lows, highs, strict=True))
        y = height if len(steps) > 1 else y
        path = tuple((x + speed * step[0] * time, y + speed * step[1] * time) for time in range(FRAMES))
        things.append(_thing(random, radius, path, colours[number]))
    in_order = all(one.path[time][0] < other.path[time][0] for one, other in pairwise(things) for time in (0, -1))
    return things if in_order and all(_stay_apart(one, other) for one, other in pairwise(things)) else []


def _thing(random: np.random.Generator, radius: int, path: tuple[tuple[int, int], ...], colour: str) -> _Thing:
    shape = list(SHAPES)[random.integers(len(SHAPES))]
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    mask = SHAPES[shape]((x / radius).astype(np.float32), (y / radius).astype(np.float32))
    return _Thing(shape=shape, colour=colour, mask=mask, path=path)


def _stay_apart(one: _Thing, other: _Thing) -> bool:
    """Tells whether two things never touch, nor one the line that the other has drawn."""
    paths = np.array(one.path)[:, None] - np.array(other.path)[None]
    return bool((np.hypot(paths[..., 0], paths[..., 1]) > one.radius + other.radius + 1).all())


def _frame(things: list[_Thing], ground: NDArray[np.uint8], time: int) -> Pixels:
    pixels = np.empty((SIDE, SIDE, 3), np.uint8)
    pixels[:] = ground
    for thing in things:
        if thing.moves and time:
            (x, y), (end_x, end_y) = thing.path[0], thing.path[time]
            across, down = sorted((x, end_x)), sorted((y, end_y))
            line = np.s_[down[0] - _LINE : down[1] + _LINE + 1, across[0] - _LINE : across[1] + _LINE + 1]
            pixels[line] = np.array(_COLOURS[thing.colour]) // 2
    for thing in things:
        (x, y), radius = thing.path[time], thing.radius
        pixels[y - radius : y + radius + 1, x - radius : x + radius + 1][thing.mask] = _COLOURS[thing.colour]
    return pixels


def _said(action: str, things: list[_Thing]) -> dict[str, Any]:
    direction = ACTIONS[action][0]
    return {
        "objects": [_motion(thing) for thing in things if thing.moves],
        "action": {
            **{"label": action, "template": action, "class": action, "class_id": list(ACTIONS).index(action)},
            **{"direction": direction, "placeholders": []},
        },
        "tracks": {
            "frames_per_second": FRAMES_PER_SECOND,
            "frames": list(range(FRAMES)),
            "objects": [
                {
                    **{"category": thing.shape, "category_id": 1 + list(SHAPES).index(thing.shape)},
                    **{"annotation_id": number, "name": f"{thing.colour} {thing.shape}"},
                    "boxes": [thing.box(time) for time in range(FRAMES)],
                }
                for number, thing in enumerate(things, start=1)
            ],
        },
    }


def _motion(thing: _Thing) -> dict[str, Any]:
    """Returns the entry of a thing among the annotations `motion`, whose positions are middles of pixels."""
    velocity = (thing.path[1][0] - thing.path[0][0], thing.path[1][1] - thing.path[0][1])
    return Trajectory(positions=thing.path, velocity=velocity, bounces=False).annotation((0.5, 0.5), thing.shape)
