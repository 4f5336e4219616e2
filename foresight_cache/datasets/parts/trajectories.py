"""Things that move through a frame at a steady speed and bounce off its sides, in whole pixels.

Whole pixels make all that is said of them exact: where they are, how fast, and which way.
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
"""Steps to the right and down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """Where something is in each frame, and its first step."""

    places: tuple[tuple[int, int], ...]
    """x to the right and y down, in pixels."""
    velocity: tuple[int, int]
    """Pixels per frame, at the start."""
    bounces: bool

    @property
    def direction(self) -> str | None:
        """One of the eight, or None where it bounces and so has several."""
        step = tuple(int(np.sign(each)) for each in self.velocity)
        return None if self.bounces else next(name for name, unit in COMPASS.items() if unit == step)

    def annotation(self, offset: tuple[float, float], category: str) -> dict[str, Any]:
        """One object of the annotations `motion`; `offset` leads from its place to its centre."""
        return {
            "positions": [[x + offset[0], y + offset[1]] for x, y in self.places],
            "velocity": list(self.velocity),
            "speed": hypot(*self.velocity),
            "direction": self.direction,
            "category": category,
        }


def draw_path(
    random: np.random.Generator, low: int, high: tuple[int, int], *, frames: int, fastest: int, may_bounce: bool
) -> Path:
    """A path between `low` and `high` (x and y, inclusive) in one of eight directions.

    Each axis moves by 0 or by one number of pixels from 1 to `fastest`. Where it may not bounce, it starts where it
    never reaches a side; a path that may need not.
    """
    unit = list(COMPASS.values())[random.integers(len(COMPASS))]
    step = int(random.integers(1, fastest + 1))
    velocity = unit[0] * step, unit[1] * step
    start = []
    for speed, most in zip(velocity, high, strict=True):
        way = 0 if may_bounce else speed * (frames - 1)
        start.append(int(random.integers(max(low, low - way), min(most, most - way) + 1)))
    straight = [(start[0] + velocity[0] * time, start[1] + velocity[1] * time) for time in range(frames)]
    places = tuple((bounced(x, low, high[0]), bounced(y, low, high[1])) for x, y in straight)
    return Path(places=places, velocity=velocity, bounces=list(places) != straight)


def bounced(place: int, low: int, high: int) -> int:
    """Where something is that went straight on to `place`, had it not bounced off `low` and `high`.

    >>> [bounced(place, 2, 5) for place in (1, 2, 5, 6, 7, 8, 9)]
    [3, 2, 5, 4, 3, 2, 3]
    """
    way = (place - low) % (2 * (high - low))
    return low + min(way, 2 * (high - low) - way)
