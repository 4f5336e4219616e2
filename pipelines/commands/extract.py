from pathlib import Path
from typing import Annotated, Literal

import typer

Shards = Annotated[Path, typer.Argument(help="Folder that 'foresight prepare' wrote.")]
Model = Annotated[str, typer.Option(help="Hub id, local directory, or tiny:<family> (seeded random weights, small).")]
Points = Annotated[str, typer.Option(help="Comma-separated points, aliases E1…E8, sets (q2) or patterns ('vit.*').")]
Out = Annotated[Path, typer.Option(help="Folder of the cache, new or to be continued.")]
Size = Annotated[str, typer.Option(help="Input size in pixels: 448 (square), HEIGHTxWIDTH, or native.")]
Frames = Annotated[int, typer.Option(min=1, help="Frames sampled from a clip; images have one.")]
Prompt = Annotated[str, typer.Option(help="Text of the user turn, after the image.")]
DType = Annotated[
    Literal["bfloat16", "float32", "float16"], typer.Option(help="Number type of the model and of the stored values.")
]
Device = Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda, cuda:1 …")]
BatchTokens = Annotated[int, typer.Option(min=1, help="Most patch tokens in one forward pass.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode and preprocess ahead of the model.")]
MaxBad = Annotated[float, typer.Option(min=0, max=1, help="Share of unusable samples past which the command fails.")]


def run(
    shards: Shards,
    model: Model,
    points: Points,
    out: Out,
    size: Size = "448",
    frames: Frames = 8,
    prompt: Prompt = "Describe the image.",
    dtype: DType = "bfloat16",
    device: Device = "auto",
    batch_tokens: BatchTokens = 2048,
    workers: Workers = 2,
    max_bad: MaxBad = 0.0,
) -> None:
    """Run the frozen model once over prepared shards and write a cache.

    One forward pass per batch serves all points and stops at the deepest of them. Each shard is committed whole:
    an interrupted run leaves no half shard and the same command goes on where it stopped. Points can be added
    later; other settings than the cache's own are refused. The resized pixels are always kept as the point 'pixels'.

    Example: foresight extract shards/coco --model tiny:qwen2_5_vl --points E1,E4,E5 --out caches/coco
    """
    from foresight_cache.encoders import LoadOptions, load
    from foresight_cache.extraction import ExtractionOptions, check_share_of_bad, extract
    from foresight_cache.points import resolve
    from foresight_cache.reader import open_cache
    from foresight_cache.shards import open_shards
    from foresight_cache.sizes import InputSize
    from pipelines.progress import progress

    shard_set = open_shards(shards)
    input_size = InputSize.parse(size)
    encoder = load(model, LoadOptions(dtype=dtype, device=device, prompt=prompt))
    options = ExtractionOptions(
        points=resolve(points.split(","), [tap.name for tap in encoder.taps]),
        size=input_size,
        frames=frames,
        batch_tokens=batch_tokens,
        workers=workers,
    )
    with progress("extract", shard_set.samples) as advance:
        extract(shard_set, encoder, options, out, advance)
    cache = open_cache(out)
    print(cache)
    check_share_of_bad(cache, max_bad)
