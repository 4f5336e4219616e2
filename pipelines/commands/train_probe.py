from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foresight_cache.runtime.work_share import WorkShare
from pipelines.commands.options import Actors, Engine, Json, NoWait, RayAddress
from pipelines.completion import (
    complete_cached_points,
    complete_heads,
    complete_loggers,
    complete_tasks,
)

if TYPE_CHECKING:
    from foresight_probes.results.result import Result
    from foresight_probes.sweeps.plan import SweepPlan
    from foresight_probes.sweeps.processes import ShareOut
    from foresight_probes.sweeps.sweep import SweepRequest

CachePath = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Task = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated tasks ('foresight tasks'), such as boxes,counting.",
        show_default="none: must be given, here or in --config",
        autocompletion=complete_tasks,
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the results, one JSON per run.")]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points or patterns of the cache; E4+E5 gives heads that take several points both.",
        show_default="all of the cache",
        autocompletion=complete_cached_points,
    ),
]
Heads = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated heads ('foresight heads').",
        show_default="each task's own",
        autocompletion=complete_heads,
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Comma-separated random seeds, a run each.", show_default="0")]
Rates = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated learning rates (the highest of the schedule), a run each.",
        show_default="the head's own",
    ),
]
Decays = Annotated[
    str | None,
    typer.Option(help="Comma-separated weight decays, as of torch.optim.AdamW, a run each.", show_default="0.3"),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training split.", show_default="30")]
BatchSize = Annotated[int | None, typer.Option(help="Samples per step.", show_default="64")]
Patience = Annotated[
    int | None,
    typer.Option(
        help="Epochs without a better validation value after which a head stops.", show_default="none: all epochs"
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="Device to train on: auto (a GPU if there is one), cpu, cuda, mps.", show_default="auto"),
]
Devices = Annotated[
    int | None,
    typer.Option(
        help="Number of processes that share out the points, each with a GPU of its own where there are GPUs.",
        show_default="1",
    ),
]
Logger = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated logs of each epoch, to OUT/logs: csv, tensorboard, wandb; or none.",
        show_default="csv",
        autocompletion=complete_loggers,
    ),
]
Controls = Annotated[
    bool | None,
    typer.Option(
        "--controls/--no-controls",
        help="Train what every number is compared with: shuffled samples, positions only, pixels, control labels.",
        show_default="controls",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Parts that are each tested once by heads of the others, for few samples.",
        show_default="none: one test split",
    ),
]
Refits = Annotated[
    int | None,
    typer.Option(
        help="Parts of the training samples, each left out once to find all heads again; intervals count it (10, say).",
        show_default="0: intervals are of the head as it is",
    ),
]
Twin = Annotated[
    str | None,
    typer.Option(
        help="Cache of the same samples from the same architecture with random weights (extract --model random:MODEL).",
        show_default="none",
    ),
]
Column = Annotated[
    str | None,
    typer.Option(
        help="Column of the sample table whose classes the task classification asks for, such as scene or qa.type.",
        show_default="the first of class, scene and action",
    ),
]
Answers = Annotated[
    Path | None,
    typer.Option(
        help="File of judged answers of the model ('foresight judge'), for the task hallucination and for --column.",
        metavar="FILE",
        show_default="none: what the dataset says",
    ),
]
Lpips = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the network's weights of the metric LPIPS, for reconstruction.",
        show_default="torch's cache of downloads",
    ),
]
Stage = Annotated[
    Path | None,
    typer.Option(
        help="Folder on a local disk into which the points that are read more than once are copied first.",
        show_default="none: the cache is read where it lies",
    ),
]
InMemory = Annotated[
    bool,
    typer.Option("--stage-in-memory", help="Accept a --stage that lies in memory (tmpfs).", show_default="off"),
]
GpuShare = Annotated[
    float,
    typer.Option(min=0.01, max=1, help="Share of a GPU that a worker of --engine ray takes, such as 0.25."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with these options and all others of docs/sweeps.md; the command line wins.",
        show_default="none",
    ),
]


def run(
    cache: CachePath,
    out: Out,
    task: Task = None,
    points: Points = None,
    heads: Heads = None,
    seeds: Seeds = None,
    lr: Rates = None,
    weight_decay: Decays = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    patience: Patience = None,
    device: Device = None,
    devices: Devices = None,
    logger: Logger = None,
    folds: Folds = None,
    refits: Refits = None,
    controls: Controls = None,
    twin: Twin = None,
    column: Column = None,
    answers: Answers = None,
    lpips_weights: Lpips = None,
    config: Config = None,
    stage: Stage = None,
    stage_in_memory: InMemory = False,
    no_wait: NoWait = False,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    ray_workers: Actors = None,
    gpu_share: GpuShare = 1.0,
    json_output: Json = False,
) -> None:
    """Train cheap probe heads from a cache alone; the model is not needed.

    All heads, seeds, learning rates and tasks of a point train in one pass over its features. The epoch is
    selected on the validation split and reported once on the test split; splits go by the hash of each sample's
    group. Runs that are already in OUT with the same cache and options are kept, so that an interrupted sweep goes
    on with the same command. Start it several times at once, by hand, srun or torchrun, to share the points.

    Example: foresight train-probe caches/coco --task boxes --points E4,E5 --lr 1e-3,1e-2 --out runs/coco
    """
    from foresight_cache.runtime.schedulers import begin_of, take_own_gpus
    from foresight_probes.sweeps.sweep import parse_sweep
    from pipelines.launchers import launcher_of
    from pipelines.launchers.point_work import share_out_by
    from pipelines.staging import plan_near

    words = {
        **{"task": task, "points": points, "heads": heads, "seeds": seeds, "lr": lr, "weight_decay": weight_decay},
        **{"epochs": epochs, "batch_size": batch_size, "patience": patience, "device": device, "devices": devices},
        **{"folds": folds, "refits": refits, "logger": logger, "controls": controls, "twin": twin, "column": column},
        "lpips_weights": lpips_weights,
    }
    request = parse_sweep(words, config)
    elsewhere = share_out_by(launcher_of(engine, ray_address, ray_workers), gpu_share)
    take_own_gpus(request.sweep.options.device)
    plan = plan_near(cache, request.sweep, out, stage, in_memory=stage_in_memory, answers=answers)
    _say_before_training(plan)
    share = WorkShare(begin=begin_of(), waits=not no_wait)
    _tell(_trained(plan, request, share, elsewhere), json_output=json_output)


def _trained(
    plan: "SweepPlan", request: "SweepRequest", share: WorkShare, elsewhere: "ShareOut | None"
) -> "list[Result]":
    from foresight_probes.sweeps.processes import train_on
    from pipelines.progress_bar import progress

    with progress("train-probe", plan.samples or None) as advance:
        return train_on(
            plan,
            devices=request.devices,
            loggers=request.loggers,
            advance=advance,
            share=share,
            elsewhere=elsewhere,
        )


def _say_before_training(plan: "SweepPlan") -> None:
    """Says what a person should know of a plan before it is carried out."""
    from foresight_probes.calibration.warnings import calibration_warnings
    from pipelines.progress_bar import say

    left_out = (f"left out: {remark}" for remark in plan.left_out)
    cache = plan.cache
    foreign = cache.answers.foreign_to(cache.fingerprint["model"], cache.path) if cache.answers else ""
    for remark in (*([foreign] if foreign else []), *left_out, *plan.remarks, *calibration_warnings(plan)):
        say(remark)


def _tell(results: "Sequence[Result]", *, json_output: bool) -> None:
    from foresight_probes.results.grid_edges import edge_remarks
    from foresight_probes.results.result import summary_row
    from pipelines.output import print_json
    from pipelines.progress_bar import say

    for remark in (*edge_remarks(results), *_not_measured(results)):
        say(remark)
    if json_output:
        print_json([summary_row(result) for result in results])
        return
    for result in results:
        print(result)


def _not_measured(results: "Iterable[Result]") -> list[str]:
    """Returns a remark for each metric of a task that is not measured, with the reason."""
    reasons = {(result.task, metric): reason for result in results for metric, reason in result.not_measured.items()}
    return [f"{task}: {metric} is not measured: {reason}" for (task, metric), reason in reasons.items()]
