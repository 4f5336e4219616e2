"""Native sizes of clips, which Qwen's video processors choose by other bounds than sizes of images."""

from abc import ABC, abstractmethod
from math import isqrt
from typing import Any

from foresight_cache.errors import BadSample

_MAX_ASPECT = 200
"""Greatest ratio of the longer to the shorter side that the processors accept."""
_FRAMES_PER_STEP = 2
_MAX_VIDEO_TOKENS = 128_000
"""Tokens of a clip where a version of transformers has no setting for them."""
_SHARE = 0.9
"""Share of `max_video_tokens` that a clip may have, as in transformers' own code."""


def refuse_narrow(height: int, width: int) -> None:
    """Raises `BadSample` where one side is more than 200 times the other."""
    if max(height, width) > _MAX_ASPECT * min(height, width):
        raise BadSample(
            f"media of {height}×{width} pixels is too narrow; one side may be {_MAX_ASPECT} times the other"
        )


def of_narrowest(budget: int, unit: int) -> int:
    """Returns the most pixels under a budget: the narrowest strip keeps one unit of height, whatever the budget."""
    return max(budget, unit * isqrt(_MAX_ASPECT * budget))


class ClipSizes(ABC):
    """A rule for sizes of clips; sides are multiples of `unit` pixels."""

    def __init__(self, processor: Any, unit: int, *, cap: bool | None) -> None:
        """Takes a video processor and its setting `cap_pixels_per_frame`."""
        self._unit, self._cap = unit, cap
        self._low, self._high = int(processor.size["shortest_edge"]), int(processor.size["longest_edge"])
        self._max_tokens = int(getattr(processor, "max_video_tokens", _MAX_VIDEO_TOKENS))

    @abstractmethod
    def size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """Returns height and width for a clip of so many frames."""

    @abstractmethod
    def frame_budget(self, frames: int) -> int:
        """Returns the most pixels of a frame of such a clip, but for narrow strips."""

    def max_frame_pixels(self, frames: int) -> int:
        """Returns the most pixels of a frame of such a clip."""
        return of_narrowest(self.frame_budget(frames), self._unit)


class FrameBudget(ClipSizes):
    """Bounds for each frame, as in Qwen2-VL and Qwen2.5-VL, and one for all frames of a clip together.

    The bound over all frames is that of the reference implementation, which transformers leaves out unless
    `cap_pixels_per_frame` is set; it matters from some hundred frames on. It is left out where that is False.
    """

    def size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        from transformers.models.qwen2_vl.video_processing_qwen2_vl import smart_resize

        size: tuple[int, int] = smart_resize(
            height, width, self._unit, min_pixels=self._low, max_pixels=self.frame_budget(frames)
        )
        return size

    def frame_budget(self, frames: int) -> int:
        if self._cap is False:
            return self._high
        total = int(self._max_tokens * self._unit * self._unit * _SHARE)
        return max(min(self._high, total * _FRAMES_PER_STEP // frames), int(self._low * 1.05))


class ClipBudget(ClipSizes):
    """Bounds for all frames of a clip together, as in Qwen3-VL."""

    def size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

        count = max(frames, _FRAMES_PER_STEP)  # a single frame is shown twice
        size: tuple[int, int] = smart_resize(
            count, height, width, _FRAMES_PER_STEP, self._unit, min_pixels=self._low, max_pixels=self._total(count)
        )
        return size

    def frame_budget(self, frames: int) -> int:
        count = max(frames, _FRAMES_PER_STEP)
        even = round(count / _FRAMES_PER_STEP) * _FRAMES_PER_STEP  # of three frames four, of five frames four as well
        return self._total(count) // min(count, even)

    def _total(self, frames: int) -> int:
        if not self._cap:
            return self._high
        ceiling = self._max_tokens * self._unit * self._unit
        return max(min(ceiling, self._high // frames), int(self._low * 1.05)) * frames
