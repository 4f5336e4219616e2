"""What one extraction is asked for."""

from dataclasses import dataclass
from typing import get_args

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.inputs import ClipsAs, InputSpec
from foresight_cache.geometry import FITS, Fit
from foresight_cache.media.sampling import Sampling
from foresight_cache.points import Point


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionOptions:
    """How inputs are made and batched; part of a cache's fingerprint, but for `workers`."""

    points: tuple[Point, ...]
    """What to keep besides the pixels."""
    size: InputSize
    """Size that images are resized to."""
    fit: Fit = "stretch"
    """Whether an input fills that size, or keeps its proportions and is bordered."""
    frames: int = 8
    """Frames that are taken of a clip; with `frames_per_second`, at most."""
    frames_per_second: float | None = None
    """Frames that are taken of each second of a clip; None takes `frames` of any clip."""
    clips_as: ClipsAs = "video"
    """Whether the model is given a clip as a clip, or its frames as images."""
    batch_tokens: int = 2048
    """Most patch tokens in one forward pass."""
    workers: int = 2
    """Threads that decode and preprocess ahead of the model."""

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "workers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.clips_as not in get_args(ClipsAs):
            raise UnknownName("way to take clips", self.clips_as, get_args(ClipsAs))
        if self.fit not in FITS:
            raise UsageError(f"--fit is {self.fit!r}, expected {' or '.join(FITS)}")
        _ = self.inputs
        pooled = [str(point) for point in self.points if point.readout != "tokens"]
        if pooled and self.clips_as == "images":
            raise UsageError(f"{', '.join(pooled)}: a clip whose frames are images of their own has tokens only")

    @property
    def with_text(self) -> bool:
        """Whether the prompt is run to its end, and not only to the last visual token."""
        return any(point.readout == "last_query" for point in self.points)

    @property
    def inputs(self) -> InputSpec:
        """Raises `UsageError`."""
        sampling = Sampling(frames=self.frames, per_second=self.frames_per_second)
        return InputSpec(size=self.size, fit=self.fit, sampling=sampling, clips_as=self.clips_as)
