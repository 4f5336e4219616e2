import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution
from foresight_cache.extraction.planning.cluster_plan import Cluster
from pipelines.commands import options as parameters
from pipelines.commands.options import Json, MaxBad, Model, Out, Points, Shards
from pipelines.opening import described, opened
from pipelines.options_to_parameters import with_flags

if TYPE_CHECKING:
    from foresight_cache.extraction.cache_plan import CachePlan
    from foresight_cache.extraction.planning.batch_trials import BatchTrial
    from foresight_cache.extraction.planning.extraction_plan import ExtractionPlan

TryBatches = Annotated[
    bool,
    typer.Option("--try-batches", help="Time batches of growing size, and name the fastest.", show_default="off"),
]
NoPilot = Annotated[
    bool,
    typer.Option("--no-pilot", help="Load no weights and measure nothing: tell from formulas.", show_default="off"),
]


@with_flags
def run(
    shards: Shards,
    model: Model,
    points: Points,
    out: Out,
    inputs: InputSpec,
    loading: LoadOptions,
    execution: Execution,
    max_bad: MaxBad = 0.0,  # noqa: ARG001 - the arguments of extract, so that one word turns a plan into its work
    part: parameters.Part = None,  # noqa: ARG001 - of all shards, whichever process makes them
    no_wait: parameters.NoWait = False,  # noqa: ARG001
    engine: parameters.Engine = "local",  # noqa: ARG001
    ray_address: parameters.RayAddress = None,  # noqa: ARG001
    ray_workers: parameters.Actors = None,  # noqa: ARG001
    gpus_per_model: parameters.GpusPerModel = 1,  # noqa: ARG001
    print_sbatch: parameters.PrintSbatch = False,  # noqa: ARG001
    logger: parameters.RateLogger = "none",  # noqa: ARG001
    logs: parameters.Logs = None,  # noqa: ARG001
    json_output: Json = False,
    trying: TryBatches = False,
    no_pilot: NoPilot = False,
    cluster: Cluster = Cluster(),  # noqa: B008 - made of options
) -> None:
    """Tell what the same 'extract' would take: tokens, bytes per point, room on the disk, time.

    Bytes follow from the points' grids and widths; speed and compression are measured by extracting a few samples
    into a temporary folder on the disk of --out, which is removed again. For each --codec it tells what would be saved.
    What is already in the cache is counted as done. Exit status 1 means that the disk has no room for the rest.
    With --try-batches it tells which --batch-tokens is fastest here, which depends on model, size and machine; with
    --nodes the time on a cluster, what binds there, requests and money: from the pilot where this machine has a GPU,
    else, without loading the model, from formulas for A100, H100 and H200 whose assumptions it prints.

    Example: foresight plan shards/coco --model tiny:qwen2_5_vl --points E1,E4,E5 --out caches/coco --nodes 2
    """
    from foresight_cache.extraction.cache_plan import CachePlan
    from foresight_cache.extraction.planning import gpu_rates
    from foresight_cache.extraction.planning.batch_trials import try_batches
    from foresight_cache.extraction.planning.extraction_plan import plan_extraction
    from pipelines.cluster_table import ClusterTable
    from pipelines.output import print_json
    from pipelines.progress_bar import progress

    _require_one(no_pilot, trying)
    arguments = shards, model, points, inputs, loading, execution
    expected = CachePlan(*described(*arguments), out)
    if no_pilot or (cluster.nodes and gpu_rates.gpu_name(expected.encoder) is None):
        _tell_by_formulas(expected, cluster, trying=trying, json_output=json_output)
        return
    begun = time.monotonic()
    shard_set, encoder, options = opened(*arguments)
    load_seconds = time.monotonic() - begun
    with progress("pilot", None):
        planned = plan_extraction(shard_set, encoder, options, out)
        trials = try_batches(shard_set, encoder, options) if trying else []
    table = ClusterTable.after_pilot(CachePlan(shard_set, encoder, options, out), planned, cluster, load_seconds)
    if json_output:
        print_json(planned.to_json() | _batches(trials, trying) | (table.to_json() if table else {}))
    else:
        print("\n".join([_text(planned), *(table.lines() if table else ()), *_trials(trials)]))
    raise typer.Exit(0 if planned.fits else 1)


def _require_one(no_pilot: bool, trying: bool) -> None:
    if no_pilot and trying:
        raise UsageError("--no-pilot measures nothing and --try-batches does; give one of them")


def _tell_by_formulas(expected: "CachePlan", cluster: Cluster, *, trying: bool, json_output: bool) -> None:
    from pipelines.cluster_table import ClusterTable
    from pipelines.output import print_json

    if trying:
        raise UsageError("--try-batches measures a GPU, and there is none here; leave it or --nodes out")
    formulas = ClusterTable.assumed(expected, cluster)
    print_json(formulas.to_json()) if json_output else print("\n".join(formulas.alone()))


def _batches(trials: "Sequence[BatchTrial]", trying: bool) -> dict[str, Any]:
    return {"batches": [asdict(trial) for trial in trials]} if trying else {}


def _text(plan: "ExtractionPlan") -> str:
    """The plan for a person: work, room and time, then a table of points."""
    lines = [f"<plan of {plan.out}>", *(f"  {label:12}{text}" for label, text in _facts(plan).items())]
    return "\n".join([*lines, "", *_table(plan), *_codecs(plan)])


def _facts(plan: "ExtractionPlan") -> dict[str, str]:
    from foresight_cache.runtime.progress import format_bytes

    left = f"{plan.samples_left:,} of them in {_shards(plan.shards_left)} are left" if plan.exists else "all are left"
    facts = {"samples": f"{plan.samples:,} in {_shards(plan.shards)}, {left if plan.shards_left else 'none is left'}"}
    if plan.surveyed < plan.samples:
        facts["sizes"] = f"native, known of {plan.surveyed:,} samples; the others are taken to be like them"
    facts["bytes"] = f"{format_bytes(plan.bytes)} in all, {format_bytes(plan.bytes_left)} to be written"
    free = "free space unknown" if plan.free is None else f"{format_bytes(plan.free)} free"
    fits = (
        "it fits" if plan.fits else f"IT DOES NOT FIT, {format_bytes(plan.on_disk_left - (plan.free or 0))} are lacking"
    )
    facts["disk"] = f"{free} at {plan.folder}: {fits}"
    return facts | _times(plan)


def _shards(count: int) -> str:
    return f"{count:,} shard{'s' * (count != 1)}"


def _times(plan: "ExtractionPlan") -> dict[str, str]:
    from foresight_cache.runtime.progress import format_bytes
    from pipelines.cluster_table import rounded_duration

    if not plan.shards_left:
        return {"time": "nothing to do"}
    if plan.pilot is None or plan.seconds is None:
        return {"time": "unknown: there is no room for a pilot, or none of its samples can be used"}
    per_sample, passes = plan.pilot.seconds_per_sample, plan.pilot.batches
    speed = format_bytes(plan.pilot.write_bytes_per_second)
    return {
        "computing": (
            f"{rounded_duration(plan.compute_seconds or 0)}, {per_sample:.3g} s per sample (median of {passes} batches)"
        ),
        "writing": f"{rounded_duration(plan.write_seconds or 0)}, {speed}/s measured",
        "time": f"{rounded_duration(plan.seconds)} with one process on this machine, the slower of the two",
    }


def _codecs(plan: "ExtractionPlan") -> list[str]:
    """A line for each codec: what the cache would take with it, and what one thread would compute."""
    from foresight_cache.runtime.progress import format_bytes
    from pipelines.cluster_table import rounded_duration
    from pipelines.tables import text_table

    head = ("--codec", "of raw", "in all", "saved", "compressing", "reading once")
    raw = max((planned.bytes for planned in plan.codecs), default=0)
    rows = [
        (
            planned.codec,
            f"{planned.ratio:.2f}",
            format_bytes(planned.bytes),
            format_bytes(raw - planned.bytes),
            rounded_duration(planned.writing_seconds),
            rounded_duration(planned.reading_seconds),
        )
        for planned in plan.codecs
    ]
    return ["", *text_table(head, rows, right=head[1:]), "  times are of one thread"] if rows else []


def _trials(trials: "Sequence[BatchTrial]") -> list[str]:
    """A line for each size of a batch, and the size that is fastest."""
    from foresight_cache.extraction.planning.batch_trials import fastest
    from pipelines.tables import text_table

    if not trials:
        return []
    head = ("samples per batch", "--batch-tokens", "s per sample")
    rows = [
        (
            str(trial.samples),
            str(trial.batch_tokens),
            "out of memory" if trial.seconds_per_sample is None else f"{trial.seconds_per_sample:.3g}",
        )
        for trial in trials
    ]
    lines = ["", *text_table(head, rows, right=head)]
    best = fastest(trials)
    return [*lines, f"  fastest here: --batch-tokens {best.batch_tokens}"] if best else lines


def _table(plan: "ExtractionPlan") -> list[str]:
    from foresight_cache.runtime.progress import format_bytes
    from pipelines.tables import text_table

    head = ("point", "tokens", "channels", "type", "in all", "left")
    rows = [
        (
            point.name,
            f"{point.tokens:,.0f}",
            f"{point.width:,}",
            point.dtype,
            format_bytes(point.bytes),
            format_bytes(point.bytes_left),
        )
        for point in plan.points
    ]
    return text_table(head, rows, right=("tokens", "channels", "in all", "left"))
