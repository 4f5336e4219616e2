"""Makes clips of one to three balls that move straight on and bounce off the sides, never off each other.

A ball is a disc of one colour around a corner between four pixels, so that its centre of mass is that corner exactly.
No ball ever hides a part of another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.datasets.parts.motion_files import write_motion
from foresight_cache.datasets.parts.trajectories import Trajectory, draw_trajectory
from foresight_cache.errors import UsageError
from foresight_cache.media.images import Pixels

TAKES_SOURCE = False
SIDE = 112
"""Height and width of a frame in pixels: a quarter of 448, and 8 patches of 14."""
FRAMES = 16
FRAMES_PER_SECOND = 8.0
FASTEST = 4
"""Pixels per frame along an axis."""
_TRIES = 64
_COLOURS = {
    "red": (214, 39, 40),
    "blue": (31, 119, 180),
    "green": (44, 160, 44),
    "yellow": (255, 187, 0),
    "white": (240, 240, 240),
}
_GROUND = (22, 24, 28)
_Ball = tuple[int, Trajectory]
"""Radius in pixels, and the trajectory of the centre."""


def generate(root: Path, *, count: int, seed: int) -> None:
    """Writes `count` clips of 16 frames of 112×112 pixels under a root, as `motion_folder` reads them.

    Clip `i` depends on the seed and on `i` alone. In half of the clips nothing bounces. Raises `UsageError` for a
    count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"{count} clips with seed {seed} cannot be made; the count is 1 or more, the seed 0 or more")
    clips = (_clip(np.random.default_rng([seed, index])) for index in range(count))
    write_motion(root, clips, FRAMES_PER_SECOND)


def _clip(random: np.random.Generator) -> tuple[Iterator[Pixels], dict[str, Any]]:
    colours = random.permutation(list(_COLOURS))
    count, may_bounce = int(random.integers(1, 4)), bool(random.integers(2))
    balls: list[_Ball] = []
    for _ in range(_TRIES):
        if len(balls) == count:
            break
        radius = int(random.integers(5, 13))
        most = SIDE - radius
        trajectory = draw_trajectory(
            random, radius, (most, most), frames=FRAMES, fastest=FASTEST, may_bounce=may_bounce
        )
        if all(_stay_apart((radius, trajectory), other) for other in balls):
            balls.append((radius, trajectory))
    objects = [
        trajectory.annotation((0.0, 0.0), str(colour)) for (_, trajectory), colour in zip(balls, colours, strict=False)
    ]
    return (_frame(balls, colours, time) for time in range(FRAMES)), {"objects": objects}


def _stay_apart(one: _Ball, other: _Ball) -> bool:
    """Returns whether two balls never touch."""
    apart = np.subtract(one[1].positions, other[1].positions)
    return bool((np.hypot(apart[:, 0], apart[:, 1]) > one[0] + other[0] + 1).all())


def _frame(balls: list[_Ball], colours: np.ndarray, time: int) -> Pixels:
    pixels = np.full((SIDE, SIDE, 3), _GROUND, np.uint8)
    y, x = np.ogrid[:SIDE, :SIDE]
    for (radius, trajectory), colour in zip(balls, colours, strict=False):
        centre_x, centre_y = trajectory.positions[time]
        pixels[(x + 0.5 - centre_x) ** 2 + (y + 0.5 - centre_y) ** 2 <= radius**2] = _COLOURS[str(colour)]
    return pixels
