"""The choices of one extraction, valid in themselves."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from foresight_cache.errors import UsageError
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.format.codec_choice import CodecChoice
from foresight_cache.option_help import Flag
from foresight_cache.points import Point


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """Sizes of batches, which are part of a cache's fingerprint; threads, scratch space and codecs, which are not."""

    batch_tokens: Annotated[
        int, Flag(help="At most so many patch tokens (before the merger) in one forward pass.", at_least=1)
    ] = 2048
    workers: Annotated[int, Flag(help="Threads that decode and preprocess ahead of the model.", at_least=1)] = 2
    scratch: Annotated[
        Path | None,
        Flag(
            help="Local folder where a shard is made before it is sent to an object store.",
            unset="the one for temporary files",
        ),
    ] = None
    codec: Annotated[
        CodecChoice,
        Flag(
            help="Compression without loss: none, lz4 (fast), zstd or small; of single points as in small,pixels=lz4.",
            parse=CodecChoice.parse,
            default="",
            unset="none; points that are there keep theirs",
        ),
    ] = field(default_factory=CodecChoice)

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        for name, value in (("batch_tokens", self.batch_tokens), ("workers", self.workers)):
            if value < 1:
                raise UsageError(f"{name} is {value}, expected at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionOptions:
    """The points that are kept, and how inputs are made and batched."""

    points: tuple[Point, ...]
    """Points that are kept besides the pixels."""
    inputs: InputSpec = field(default_factory=InputSpec)
    execution: Execution = field(default_factory=Execution)

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        pooled = [str(point) for point in self.points if point.readout != "tokens"]
        if pooled and self.inputs.clips_as == "images":
            raise UsageError(f"{', '.join(pooled)}: a clip whose frames are images of their own has tokens only")
