"""What `extract` and `plan` are both told, and how it becomes shards, an encoder and options."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from foresight_cache.encoders import Encoder
    from foresight_cache.extraction.options import ExtractionOptions
    from foresight_cache.shards import ShardSet

Shards = Annotated[Path, typer.Argument(help="Folder that 'foresight prepare' wrote.")]
Model = Annotated[
    str,
    typer.Option(
        help="Hub id, local directory, tiny:<family> (small, random weights) or random:<hub id or directory>."
    ),
]
Points = Annotated[str, typer.Option(help="Comma-separated points, aliases E1…E8, sets (q2) or patterns ('vit.*').")]
Out = Annotated[Path, typer.Option(help="Folder of the cache, new or to be continued.")]
Size = Annotated[str, typer.Option(help="Input size in pixels: 448 (square), HEIGHTxWIDTH, or native.")]
FitOption = Annotated[
    Literal["stretch", "letterbox"],
    typer.Option(help="Fill the size, or keep the proportions and fill up with grey."),
]
Frames = Annotated[int, typer.Option(min=1, help="Frames taken of a clip, evenly; with --fps, at most.")]
FramesPerSecond = Annotated[float | None, typer.Option("--fps", help="Frames taken of each second of a clip.")]
ClipsAs = Annotated[
    Literal["video", "images", "prompt"],
    typer.Option(help="Give the model a clip as a clip, its frames as images, or as images of one prompt."),
]
Prompt = Annotated[str, typer.Option(help="Text of the user turn; {question} stands for the sample's own.")]
DType = Annotated[
    Literal["bfloat16", "float32", "float16"], typer.Option(help="Number type of the model and of the stored values.")
]
Attention = Annotated[str, typer.Option("--attn", help="sdpa, eager, flash_attention_2, … as in transformers.")]
Compile = Annotated[bool, typer.Option("--compile", help="Compile blocks and layers; pays on long runs.")]
Device = Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda, cuda:1 …")]
BatchTokens = Annotated[int, typer.Option(min=1, help="Most patch tokens in one forward pass.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode and preprocess ahead of the model.")]
MaxBad = Annotated[float, typer.Option(min=0, max=1, help="Share of unusable samples past which the command fails.")]


def opened(
    shards: Path,
    model: str,
    points: str,
    size: str,
    *,
    fit: Literal["stretch", "letterbox"],
    frames: int,
    fps: float | None,
    clips_as: Literal["video", "images", "prompt"],
    prompt: str,
    dtype: Literal["bfloat16", "float32", "float16"],
    device: str,
    attention: str,
    compiled: bool,
    batch_tokens: int,
    workers: int,
) -> "tuple[ShardSet, Encoder, ExtractionOptions]":
    """Loads only what the points need. Raises `ShardError`, `ModelError` and `UsageError`."""
    from foresight_cache.encoders import LoadOptions, describe, load
    from foresight_cache.extraction.input_size import InputSize
    from foresight_cache.extraction.options import ExtractionOptions
    from foresight_cache.points import resolve
    from foresight_cache.shards import open_shards

    shard_set = open_shards(shards)
    input_size = InputSize.parse(size)
    load_options = LoadOptions(dtype=dtype, device=device, prompt=prompt, attention=attention, compiled=compiled)
    described = describe(model, load_options)
    wanted = resolve(points.split(","), [tap.name for tap in described.taps])
    described.check_points(wanted)
    if input_size.fixed:
        described.grid("patch", 1, *input_size.fixed)
    options = ExtractionOptions(
        points=wanted,
        size=input_size,
        fit=fit,
        frames=frames,
        frames_per_second=fps,
        clips_as=clips_as,
        batch_tokens=batch_tokens,
        workers=workers,
    )
    return shard_set, load(model, load_options, [point.tap for point in wanted]), options
