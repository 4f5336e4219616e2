import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import Interrupted
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution
from foresight_cache.lists import split_list
from foresight_cache.runtime.work_share import Part, WorkShare
from pipelines.commands import options as parameters
from pipelines.commands.options import Json, MaxBad, Model, Out, Points, Shards
from pipelines.options_to_parameters import with_flags

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from pipelines.launchers.extraction_work import ExtractionWork
    from pipelines.launchers.work import Done, Launcher


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
    engine: parameters.Engine = "local",
    ray_address: parameters.RayAddress = None,
    ray_workers: parameters.Actors = None,
    gpus_per_model: parameters.GpusPerModel = 1,
    print_sbatch: parameters.PrintSbatch = False,
    logger: parameters.RateLogger = "none",
    logs: parameters.Logs = None,
    json_output: Json = False,
) -> None:
    """Run the frozen model once over prepared shards and write a cache.

    One forward pass per batch serves all points and stops at the deepest of them. Each shard is committed whole:
    an interrupted run leaves no half shard and the same command goes on where it stopped. Points can be added
    later; other settings than the cache's own are refused. The resized pixels are always kept as the point 'pixels'.
    Start it several times at once, by hand, srun, an array of jobs or torchrun, to share the shards; or once with
    --engine ray on a node of a Ray cluster.

    Example: foresight extract shards/coco --model tiny:qwen2_5_vl --points E1,E4,E5 --out caches/coco
    """
    from foresight_cache.runtime.schedulers import begin_of
    from foresight_cache.shards import open_shards
    from pipelines.launchers import launcher_of
    from pipelines.launchers.extraction_work import ExtractionWork
    from pipelines.launchers.sbatch import sbatch_script
    from pipelines.output import print_json
    from pipelines.progress_bar import say
    from pipelines.rate_log import logs_beside, open_loggers

    split_list(points, "--points")  # mistakes in words come before those in files
    share = WorkShare(part=Part.parse(part) if part else Part(1, 1), begin=begin_of(), waits=not no_wait)
    launcher = launcher_of(engine, ray_address, ray_workers)
    count = len(open_shards(shards).shards)
    if print_sbatch:
        print(sbatch_script(context.obj, tasks=count), end="")
        return
    pieces = share.order(range(count))
    if not pieces:
        say(f"part {share.part} has nothing to do, since {shards} has {count} shard{'s' * (count != 1)}")
        print_json({}) if json_output else None
        return
    _say_if_too_many(share, count)
    _check_place(out, execution)
    words: dict[str, Any] = {"shards": shards, "model": model, "points": points, "inputs": inputs, "out": out}
    words["loading"] = replace(loading, device_map="auto") if gpus_per_model > 1 else loading
    work = ExtractionWork(**words, execution=execution, pieces=pieces, share=share, gpus=gpus_per_model)
    loggers = open_loggers(split_list(logger, "--logger"), logs or logs_beside(out))
    _carry_out(launcher, work, loggers, max_bad, json_output=json_output)


def _carry_out(
    launcher: "Launcher", work: "ExtractionWork", loggers: "Sequence[Logger]", max_bad: float, *, json_output: bool
) -> None:
    from foresight_cache.extraction.extraction_loop import check_share_of_bad
    from foresight_cache.reader import open_cache
    from pipelines.launchers.local import LocalLauncher
    from pipelines.output import cache_json, print_json

    extract = _here if isinstance(launcher, LocalLauncher) else _elsewhere
    extract(launcher, work, loggers)
    cache = open_cache(work.out)
    print_json(cache_json(cache)) if json_output else print(cache)
    check_share_of_bad(cache, max_bad)


def _here(launcher: "Launcher", work: "ExtractionWork", loggers: "Sequence[Logger]") -> None:
    """Extracts in this process; the progress tells which stage it waits for."""
    from foresight_cache.runtime.schedulers import take_own_gpus
    from pipelines.progress_bar import progress
    from pipelines.rate_log import logged

    if work.gpus > 1 or work.loading.device_map == "one":  # else all GPUs are one model's
        take_own_gpus(work.loading.device, work.gpus)
    begun, finished = time.monotonic(), 0

    def done(commit: "Done") -> None:
        nonlocal finished
        finished += commit.samples
        report(commit.samples, commit.size)

    try:
        with progress("load", None):
            plan = work.plan
        missing = sum(plan.layout.shards[int(number)].samples for number in work.pieces if number in plan.missing)
        with progress("extract", missing, times=work.times) as shown, logged(shown, loggers, work.times) as report:
            launcher.run(work, done)
    except KeyboardInterrupt:
        if finished:
            raise
        raise Interrupted(
            "interrupted; what is finished is kept, the same command goes on from there; this process has finished "
            f"no shard in {time.monotonic() - begun:.0f} s: if its time always ends so, it needs more, or smaller "
            "shards (prepare --samples-per-shard)"
        ) from None


def _elsewhere(launcher: "Launcher", work: "ExtractionWork", loggers: "Sequence[Logger]") -> None:
    """Lets workers elsewhere extract; the progress is that of their commits."""
    from foresight_cache.shards import open_shards
    from pipelines.progress_bar import progress
    from pipelines.rate_log import logged

    samples = {number: len(shard.ids) for number, shard in enumerate(open_shards(work.shards).shards)}
    left = sum(samples[int(number)] for number in work.pieces)
    with progress("extract", left) as shown, logged(shown, loggers) as report:

        def done(finished: "Done") -> None:
            nonlocal left
            if not finished.samples:  # it was there already
                left -= samples[int(finished.piece)]
                report.expect(left)
            report(finished.samples, finished.size)

        launcher.run(work, done)
    work.tidy()


def _say_if_too_many(share: WorkShare, shards: int) -> None:
    from foresight_cache.runtime.schedulers import processes_of
    from pipelines.progress_bar import say

    if share.part.parts == 1 and (processes := processes_of()) > shards:
        say(f"{processes} processes share {shards} shards, so that some only wait; start fewer, or add --no-wait")


def _check_place(out: str, execution: Execution) -> None:
    """Raises what speaks against writing a new cache there, before minutes go into loading a model."""
    from foresight_cache.format.layout import ROOT_KEY
    from foresight_cache.format.stores import open_writable

    store = open_writable(out, execution.scratch)
    if ROOT_KEY not in store.children(""):
        store.check_writable()
