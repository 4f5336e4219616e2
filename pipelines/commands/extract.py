from pipelines.commands.options import (
    Attention,
    BatchTokens,
    ClipsAs,
    Compile,
    Device,
    DType,
    FitOption,
    Frames,
    FramesPerSecond,
    MaxBad,
    Model,
    Out,
    Points,
    Prompt,
    Shards,
    Size,
    Workers,
    opened,
)


def run(
    shards: Shards,
    model: Model,
    points: Points,
    out: Out,
    size: Size = "448",
    fit: FitOption = "stretch",
    frames: Frames = 8,
    fps: FramesPerSecond = None,
    clips_as: ClipsAs = "video",
    prompt: Prompt = "Describe the image.",
    dtype: DType = "bfloat16",
    device: Device = "auto",
    attention: Attention = "sdpa",
    compiled: Compile = False,
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
    from foresight_cache.extraction.extract import check_share_of_bad, extract
    from foresight_cache.reader import open_cache
    from foresight_cache.runtime.progress import StageTimes
    from pipelines.progress import progress

    shard_set, encoder, options = opened(
        shards,
        model,
        points,
        size,
        fit=fit,
        frames=frames,
        fps=fps,
        clips_as=clips_as,
        prompt=prompt,
        dtype=dtype,
        device=device,
        attention=attention,
        compiled=compiled,
        batch_tokens=batch_tokens,
        workers=workers,
    )
    times = StageTimes()
    with progress("extract", shard_set.samples, times=times) as advance:
        extract(shard_set, encoder, options, out, advance, times)
    cache = open_cache(out)
    print(cache)
    check_share_of_bad(cache, max_bad)
