"""Orders the frames of a folder by the number in their names, and says where numbers are missing.

The names of a clip's frames are one pattern, such as `img_#` or `frame_#_left`, in which one number counts. Where
several numbers differ, as in dates and times, the frames are ordered by all of them and none can be missing.
"""

import heapq
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from foresight_cache.errors import BadSample

_DIGITS = re.compile(r"(\d+)")
_FLOW = re.compile(r"flow_?[xy]?_?\d+", re.IGNORECASE)
"""Names of images of optical flow, which MMAction2 and others write beside the frames that it is of."""
_LEAST_OF_A_STEP = 3
"""Frames that show a step; of two, what is between them may as well be lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameOrder:
    """Names of the frames of one clip in order, and what numbers they have."""

    names: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    """Number of each frame; empty where no single number counts them."""

    @property
    def step(self) -> int | None:
        """Difference of each number from the one before, where it is the same for all of three or more frames."""
        steps = {second - first for first, second in pairwise(self.numbers)}
        return next(iter(steps)) if len(steps) == 1 and len(self.numbers) >= _LEAST_OF_A_STEP else None

    def check_gaps(self, *, constant_step: bool) -> None:
        """Raises `BadSample` where numbers are missing; with `constant_step`, only where they are at no even step."""
        if constant_step and self.step:
            return
        for (name, number), (following, next_number) in pairwise(zip(self.names, self.numbers, strict=False)):
            if missing := next_number - number - 1:
                raise BadSample(
                    f"frames are missing between {name} and {following}: {missing}; get them, or accept gaps with "
                    "--frame-gaps"
                )


def flow_images(names: Collection[str]) -> set[str]:
    """Returns which images of a folder are optical flow beside its frames; none where it holds nothing else.

    >>> sorted(flow_images(["img_00001.jpg", "flow_x_00001.jpg", "flower_1.jpg"]))
    ['flow_x_00001.jpg']
    """
    flow = {name for name in names if _FLOW.fullmatch(name.rpartition(".")[0])}
    return flow if len(flow) < len(names) else set()


def step_of(names: Collection[str]) -> int | None:
    """Returns the step at which the numbers of frames begin, from their first three names; None where it is 1 or none.

    >>> step_of(["00000.jpg", "00005.jpg", "00010.jpg"]), step_of(["1.jpg", "2.jpg", "3.jpg"])
    (5, None)
    """
    first = heapq.nsmallest(_LEAST_OF_A_STEP, names, key=lambda name: (len(name), name))
    try:
        step = order_frames(first).step
    except BadSample:
        return None
    return step if step != 1 else None


def order_frames(names: Collection[str]) -> FrameOrder:
    """Returns the names of a folder's images in the order of the numbers in them, without those of optical flow.

    Names without any number are in the order of their letters. Raises `BadSample` where the names are of several
    patterns, or two have the same numbers.

    >>> order_frames(["frame_10_left.png", "frame_2_left.png"]).names
    ('frame_2_left.png', 'frame_10_left.png')
    >>> order_frames(["img_2.jpg", "flow_x_1.jpg", "img_1.jpg", "flow_y_1.jpg"]).names
    ('img_1.jpg', 'img_2.jpg')
    """
    flow = flow_images(names)
    parts = {name: _DIGITS.split(name.rpartition(".")[0]) for name in names if name not in flow}
    patterns = {name: "#".join(texts[::2]) for name, texts in parts.items()}
    kinds = sorted(set(patterns.values()))
    if not any("#" in kind for kind in kinds):
        return FrameOrder(names=tuple(sorted(patterns)))
    if len(kinds) > 1:
        examples = [min(name for name, kind in patterns.items() if kind == each) for each in kinds[:3]]
        raise BadSample(
            f"the frames are named in {len(kinds)} ways, such as {' and '.join(examples)}, so that their order is "
            "unknown; keep those of one way"
        )
    keys = {name: tuple(map(int, parts[name][1::2])) for name in patterns}
    ordered = sorted(patterns, key=lambda name: (keys[name], name))
    for name, following in pairwise(ordered):
        if keys[name] == keys[following]:
            raise BadSample(f"the frames {name} and {following} have one number")
    columns = [column for column in zip(*(keys[name] for name in ordered), strict=True) if len(set(column)) > 1]
    numbers = columns[0] if len(columns) == 1 else ()
    return FrameOrder(names=tuple(ordered), numbers=numbers)
