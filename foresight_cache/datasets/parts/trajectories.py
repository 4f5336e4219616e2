"""Draws trajectories of things that move through a frame at a steady speed and bounce off its sides.

They move by whole pixels, which makes every annotation of them exact: position, speed and direction.
"""

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np

COMPASS: dict[str, tuple[int, int]] = {
    "right": (1, 0),
    "down right": (1, 1),
    "down": (0, 1),
    "down left": (-1, 1),
    "left": (-1, 0),
    "up left": (-1, -1),
    "up": (0, -1),
    "up right": (1, -1),
}
"""Steps to the right and down, by direction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """Positions of a moving thing, one in each frame, and its velocity at the start."""

    positions: tuple[tuple[int, int], ...]
    """x to the right and y down, in pixels."""
    velocity: tuple[int, int]
    """Pixels per frame, at the start."""
    bounces: bool
    """True where it reaches a side and turns."""

    @property
    def direction(self) -> str | None:
        """Name of one of the eight directions, or None where it bounces and so has several."""
        signs = tuple(int(np.sign(speed)) for speed in self.velocity)
        return None if self.bounces else next(name for name, unit in COMPASS.items() if unit == signs)

    def annotation(self, offset: tuple[float, float], category: str) -> dict[str, Any]:
        """Returns one object of the annotations `motion`; `offset` leads from its position to its centre."""
        return {
            "positions": [[x + offset[0], y + offset[1]] for x, y in self.positions],
            "velocity": list(self.velocity),
            "speed": hypot(*self.velocity),
            "direction": self.direction,
            "category": category,
        }


def draw_trajectory(
    random: np.random.Generator, low: int, high: tuple[int, int], *, frames: int, fastest: int, may_bounce: bool
) -> Trajectory:
    """Draws a trajectory between `low` and `high` (x and y, inclusive) in one of eight directions.

    Each axis moves by 0 or by one number of pixels from 1 to `fastest`. Where it may not bounce, it starts where it
    never reaches a side; one that may need not.
    """
    unit = list(COMPASS.values())[random.integers(len(COMPASS))]
    step = int(random.integers(1, fastest + 1))
    velocity = unit[0] * step, unit[1] * step
    start = []
    for speed, most in zip(velocity, high, strict=True):
        way = 0 if may_bounce else speed * (frames - 1)
        start.append(int(random.integers(max(low, low - way), min(most, most - way) + 1)))
    straight = [(start[0] + velocity[0] * time, start[1] + velocity[1] * time) for time in range(frames)]
    positions = tuple((bounced(x, low, high[0]), bounced(y, low, high[1])) for x, y in straight)
    return Trajectory(positions=positions, velocity=velocity, bounces=list(positions) != straight)


def bounced(position: int, low: int, high: int) -> int:
    """Returns where something is that bounces off `low` and `high` and else would have gone straight to `position`.

    >>> [bounced(position, 2, 5) for position in (1, 2, 5, 6, 7, 8, 9)]
    [3, 2, 5, 4, 3, 2, 3]
    """
    way = (position - low) % (2 * (high - low))
    return low + min(way, 2 * (high - low) - way)
