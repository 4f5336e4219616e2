"""Makes Moving MNIST: two digits that move through a black frame, bounce off its sides and pass through each other.

As in Srivastava et al. (2015), but in whole pixels: annotated positions are the centres of mass of each digit's
brightness.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.datasets.parts import digits
from foresight_cache.datasets.parts.digits import Digits, draw_digits, load_digits
from foresight_cache.datasets.parts.motion_files import write_motion
from foresight_cache.datasets.parts.trajectories import Trajectory, draw_trajectory
from foresight_cache.errors import UsageError
from foresight_cache.media.images import Pixels

TAKES_SOURCE = True
SIDE = 64
FRAMES = 20
DIGITS = 2
FRAMES_PER_SECOND = 10.0
FASTEST = 3
"""Pixels per frame along an axis; at most 36 / 19 where nothing may bounce."""


def generate(root: Path, *, count: int, seed: int, source: Path | None = None) -> None:
    """Writes `count` clips of 20 frames of 64×64 pixels under a root, as `motion_folder` reads them.

    Digits come from the file `source`, or are drawn where none is given. Clip `i` depends on the seed, the file and
    `i` alone. Raises `UsageError` for a count below 1 or a negative seed, `DatasetError` for a wrong file.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"{count} clips with seed {seed} cannot be made; the count is 1 or more, the seed 0 or more")
    loaded = load_digits(source) if source else None
    clips = (_clip(np.random.default_rng([seed, index]), loaded) for index in range(count))
    write_motion(root, clips, FRAMES_PER_SECOND)


def _clip(random: np.random.Generator, loaded: Digits | None) -> tuple[Iterator[Pixels], dict[str, Any]]:
    all_digits = loaded or draw_digits(random)
    numbers = random.choice(len(all_digits.names), DIGITS)
    may_bounce = bool(random.integers(2))
    most = SIDE - digits.SIDE
    fastest = FASTEST if may_bounce else most // (FRAMES - 1)
    trajectories = [
        draw_trajectory(random, 0, (most, most), frames=FRAMES, fastest=fastest, may_bounce=may_bounce)
        for _ in range(DIGITS)
    ]
    objects = [
        trajectory.annotation(_centre(all_digits.images[number]), all_digits.names[number])
        for trajectory, number in zip(trajectories, numbers, strict=True)
    ]
    frames = (_frame(trajectories, all_digits.images[numbers], time) for time in range(FRAMES))
    return frames, {"objects": objects}


def _centre(image: np.ndarray) -> tuple[float, float]:
    """Returns the centre of mass of a digit's brightness, x and y, in pixels from its upper left corner."""
    weight = max(int(image.sum(dtype=np.int64)), 1)
    along = np.arange(digits.SIDE) + 0.5
    return float(image.sum(axis=0) @ along / weight), float(image.sum(axis=1) @ along / weight)


def _frame(trajectories: list[Trajectory], images: np.ndarray, time: int) -> Pixels:
    frame = np.zeros((SIDE, SIDE), np.uint8)
    for trajectory, image in zip(trajectories, images, strict=True):
        x, y = trajectory.positions[time]
        window = frame[y : y + digits.SIDE, x : x + digits.SIDE]
        np.maximum(window, image, out=window)
    return np.repeat(frame[..., np.newaxis], 3, axis=2)
