import typer

from foresight_cache.encoders import LoadOptions
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution
from foresight_cache.lists import split_list
from foresight_cache.runtime.work_share import Part, WorkShare
from pipelines.commands import options as parameters
from pipelines.commands.options import Json, MaxBad, Model, Out, Points, Shards, opened
from pipelines.options_to_parameters import with_flags


@with_flags
def run(
    context: typer.Context,
    shards: Shards,
    model: Model,
    points: Points,
    out: Out,
    inputs: InputSpec,
    loading: LoadOptions,
    execution: Execution,
    max_bad: MaxBad = 0.0,
    part: parameters.Part = None,
    no_wait: parameters.NoWait = False,
    print_sbatch: parameters.PrintSbatch = False,
    json_output: Json = False,
) -> None:
    """Run the frozen model once over prepared shards and write a cache.

    One forward pass per batch serves all points and stops at the deepest of them. Each shard is committed whole:
    an interrupted run leaves no half shard and the same command goes on where it stopped. Points can be added
    later; other settings than the cache's own are refused. The resized pixels are always kept as the point 'pixels'.
    Start it several times at once, by hand, srun, an array of jobs or torchrun, to share the shards.

    Example: foresight extract shards/coco --model tiny:qwen2_5_vl --points E1,E4,E5 --out caches/coco
    """
    from foresight_cache.extraction.cache_plan import CachePlan
    from foresight_cache.extraction.extraction_loop import check_share_of_bad, extract
    from foresight_cache.reader import open_cache
    from foresight_cache.runtime.progress import StageTimes
    from foresight_cache.runtime.schedulers import begin_of, take_own_gpu
    from foresight_cache.shards import open_shards
    from pipelines.launchers.sbatch import sbatch_script
    from pipelines.output import cache_json, print_json
    from pipelines.progress_bar import progress, say

    split_list(points, "--points")  # mistakes in words come before those in files
    share = WorkShare(part=Part.parse(part) if part else Part(1, 1), begin=begin_of(), waits=not no_wait)
    count = len(open_shards(shards).shards)
    if print_sbatch:
        print(sbatch_script(context.obj, tasks=count), end="")
        return
    if not share.order(range(count)):
        say(f"part {share.part} has nothing to do, since {shards} has {count} shard{'s' * (count != 1)}")
        print_json({}) if json_output else None
        return
    _check_place(out, execution)
    if loading.device_map == "one":  # else all GPUs are one model's
        take_own_gpu(loading.device)
    with progress("load", None):
        shard_set, encoder, options = opened(shards, model, points, inputs, loading, execution)
    times = StageTimes()
    plan = CachePlan(shard_set, encoder, options, out)
    missing = sum(plan.layout.shards[number].samples for number in share.order(range(count)) if number in plan.missing)
    with progress("extract", missing, times=times) as advance:
        extract(shard_set, encoder, options, out, advance, times, share=share)
    cache = open_cache(out)
    print_json(cache_json(cache)) if json_output else print(cache)
    check_share_of_bad(cache, max_bad)


def _check_place(out: str, execution: Execution) -> None:
    """Raises what speaks against writing a new cache there, before minutes go into loading a model."""
    from foresight_cache.format.layout import ROOT_KEY
    from foresight_cache.format.stores import open_writable

    store = open_writable(out, execution.scratch)
    if ROOT_KEY not in store.children(""):
        store.check_writable()
