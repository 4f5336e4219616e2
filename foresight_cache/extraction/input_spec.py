"""The choice of frames, size and form in which samples are given to a model; a part of a cache's fingerprint."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self, get_args

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.extraction.input_size import USUAL_SIZE, InputSize
from foresight_cache.geometry import FITS, Fit
from foresight_cache.media.blank import BLANK_IMAGES, BlankImage
from foresight_cache.media.frame_sampling import CHOICE, Sampling
from foresight_cache.option_help import Flag
from foresight_cache.samples import Media, Sample

ClipsAs = Literal["video", "images", "prompt"]
"""Form in which a model is given a clip: as a clip; each frame alone, which then knows of no other; or its frames as
images of one prompt."""

Reverse = Literal["none", "half"]
"""Clips that are played backwards: none, or half of them, chosen by a hash of their ids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """The choices that decide a sample's grids, by its record and without its pixels."""

    size: Annotated[
        InputSize,
        Flag(
            help="Input size in pixels: 448 (square), HEIGHTxWIDTH, or native (each at about its own size).",
            parse=InputSize.parse,
            default=USUAL_SIZE,
        ),
    ] = field(default_factory=lambda: InputSize.parse(USUAL_SIZE))
    fit: Annotated[Fit, Flag(help="Stretch to the size, or keep the proportions and fill up with grey.")] = "stretch"
    sampling: Sampling = field(default_factory=Sampling)
    clips_as: Annotated[
        ClipsAs,
        Flag(help="How the model gets a clip: video, its frames one by one (images), or in one prompt (prompt)."),
    ] = "video"
    reverse: Annotated[
        Reverse,
        Flag(help="Play half of the clips backwards, by a hash of their ids; the task order then tells which."),
    ] = "none"
    blank_image: Annotated[
        BlankImage,
        Flag(
            help="Blank picture in the place of each, grey or noise, so that the model sees the question alone.",
            name="--blank-image",
        ),
    ] = "none"

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        if self.clips_as not in get_args(ClipsAs):
            raise UnknownName("way to take clips", self.clips_as, get_args(ClipsAs))
        if self.reverse not in get_args(Reverse):
            raise UnknownName("choice of clips to reverse", self.reverse, get_args(Reverse))
        if self.blank_image not in BLANK_IMAGES:
            raise UnknownName("blank image", self.blank_image, BLANK_IMAGES)
        if self.fit not in FITS:
            raise UsageError(f"--fit is {self.fit!r}, expected {' or '.join(FITS)}")

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Returns the choices of a fingerprint's section `input`, which says nothing of clips where there are none."""
        return cls(
            size=InputSize.parse(record["size"]),
            fit=record["fit"],
            sampling=Sampling(frames=record.get("frames") or 1, per_second=record.get("frames_per_second")),
            clips_as=record.get("clips_as") or "video",
            reverse=record.get("reverse") or "none",
            blank_image=record.get("blank_image") or "none",
        )

    def to_json(self, media: Media) -> dict[str, Any]:
        """Returns the section `input` of a fingerprint."""
        blank = {"blank_image": self.blank_image} if self.blank_image != "none" else {}
        common = {"size": str(self.size), "fit": self.fit, "resize": "bicubic, antialiased", **blank}
        if media == "image":
            return common
        sampling = {"frames": self.sampling.frames, "frames_per_second": self.sampling.per_second}
        reverse = {"reverse": self.reverse} if self.reverse != "none" else {}
        return {**common, **sampling, "frame_choice": CHOICE, "clips_as": self.clips_as, **reverse}

    def reverses(self, sample: Sample) -> bool | None:
        """Tells whether a clip is played backwards; None where none is to be."""
        if self.reverse == "none":
            return None
        return hashlib.sha256(f"reverse {sample.id}".encode()).digest()[0] % 2 == 1

    def frames(self, sample: Sample) -> list[int]:
        """Returns the numbers of a sample's frames in the order in which they are shown. Raises `BadSample`."""
        taken = self.sampling.indices(sample)
        return taken[::-1] if self.reverses(sample) else taken
