"""Chooses frames of a clip: `--frames N` of them, or with `--fps R` as many as its length gives at that rate."""

from dataclasses import dataclass
from typing import Annotated

from foresight_cache.errors import BadSample, UsageError
from foresight_cache.option_help import Flag
from foresight_cache.samples import Sample

CHOICE = "middle of equal segments"
"""Name of the rule of `uniform`, for fingerprints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """Choice of frames from a clip's length and rate alone, so that a plan knows what an extraction will decode."""

    frames: Annotated[int, Flag(help="Frames per clip, evenly spaced; with --fps, the maximum.", at_least=1)] = 8
    per_second: Annotated[
        float | None,
        Flag(help="Frames per second of clip.", name="--fps", unset="off: --frames of any clip"),
    ] = None
    """None chooses `frames` of any clip."""

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        if self.frames < 1:
            raise UsageError(f"frames is {self.frames}, expected at least 1")
        if self.per_second is not None and not 0 < self.per_second < float("inf"):
            raise UsageError(f"frames per second is {self.per_second}, expected more than 0")

    def indices(self, sample: Sample) -> list[int]:
        """Returns the numbers of the chosen frames of a sample, in order; `[0]` of an image. Raises `BadSample`."""
        return [0] if sample.media == "image" else uniform(sample.frames, self.count(sample))

    def count(self, sample: Sample) -> int:
        """Returns the number of frames that are chosen of a sample.

        With `per_second`, the length in seconds times the rate, rounded, but at least one and no more than there are.
        Raises `BadSample` where the length is not known.
        """
        if sample.media == "image":
            return 1
        if self.per_second is None:
            return self.frames
        if sample.frames_per_second is None:
            raise BadSample(
                "it is not known how many frames per second the clip has; take a fixed number with --frames"
            )
        seconds = sample.frames / sample.frames_per_second
        return max(1, min(self.frames, sample.frames, round(seconds * self.per_second)))


def uniform(frames: int, count: int) -> list[int]:
    """Returns the middle frames of `count` equal segments of a clip: index i is ⌊(i + ½) · frames / count⌋.

    A clip with fewer frames shows some of them more than once, in order and evenly.

    >>> uniform(16, 4), uniform(10, 4), uniform(3, 4), uniform(1, 2)
    ([2, 6, 10, 14], [1, 3, 6, 8], [0, 1, 1, 2], [0, 0])
    """
    return [(2 * segment + 1) * frames // (2 * count) for segment in range(count)]
