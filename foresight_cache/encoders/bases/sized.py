"""Sizes of inputs: multiples of what one token of the coarsest grid sees, unless a family says otherwise."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from foresight_cache.encoders import Encoder, PromptMedia, TapLevel
from foresight_cache.errors import UsageError
from foresight_cache.samples import Grid


class SizedEncoder(Encoder):
    """Base of encoders that refuse an impossible size with the nearest possible one."""

    @abstractmethod
    def possible_grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        """Returns the grid of an input whose size is known to be possible."""

    def nearest_size(self, height: int, width: int) -> tuple[int, int]:
        side = self.patch_multiple
        return max(1, round(height / side)) * side, max(1, round(width / side)) * side

    def grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        if frames != self.nearest_frames(frames) or (height, width) != self.nearest_size(height, width):
            raise UsageError(
                f"size {height} × {width} with {frames} frames is not possible for {self.family}: "
                f"{self.size_rule(height, width)}"
            )
        return self.possible_grid(level, frames, height, width)

    def size_rule(self, height: int, width: int) -> str:
        """Returns what is expected in place of an impossible size, as part of a message."""
        near = " × ".join(map(str, self.nearest_size(height, width)))
        return (
            f"height and width must be multiples of {self.patch_multiple} pixels and frames {self.frame_rule}; "
            f"the nearest size is {near}"
        )

    def check_clips(self, clips: Sequence[np.ndarray], media: PromptMedia) -> None:
        """Raises `UsageError` for media that the family does not take and for sizes that are not possible."""
        if media not in (*self.media, "images"):
            raise UsageError(f"{self.family} takes images only; extract clips with a family that has a video path")
        if media == "image" and any(len(clip) != 1 for clip in clips):
            raise UsageError("an image has exactly one frame; preprocess several frames as a clip")
        for clip in clips:
            self.grid("patch", 1 if media == "images" else len(clip), *clip.shape[1:3])

    def check_prompt(self) -> None:
        """Raises `UsageError` for a prompt that is more than text to the model; a family without one takes any."""

    def check_text(self, text: str) -> None:
        """Raises `BadSample` for words that are more than text to the model; a family without prompt takes any."""
