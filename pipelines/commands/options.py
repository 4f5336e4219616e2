"""Parameters that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from foresight_cache.errors import UsageError
from pipelines.completion import complete_engines, complete_loggers, complete_points
from pipelines.progress_bar import speak_to_programs

Shards = Annotated[Path, typer.Argument(help="Folder that 'foresight prepare' wrote.", metavar="SHARDS")]
Model = Annotated[
    str,
    typer.Option(
        help="Hugging Face id or local directory; tiny:FAMILY or random:MODEL (small or true size, random weights)."
    ),
]
Points = Annotated[
    str,
    typer.Option(
        help="Comma-separated points, aliases (E4, halp:27), groups (q2) or patterns ('vit.*').",
        autocompletion=complete_points,
    ),
]
Out = Annotated[str, typer.Option(help="Folder or URL (s3://…) of the cache, new or to be continued.", metavar="PLACE")]
MaxBad = Annotated[
    float,
    typer.Option(min=0, max=1, help="Share of unusable samples, 0 to 1, above which the exit status is 1."),
]

Part = Annotated[
    str | None,
    typer.Option(
        help="Part of the shards that is this process's business, I from 1 to N: every N-th shard from the I-th on.",
        metavar="I/N",
        show_default="1/1: all shards",
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        help="End with status 75 where other processes have all that is left, instead of waiting for it.",
        show_default="off",
    ),
]
PrintSbatch = Annotated[
    bool,
    typer.Option(
        "--print-sbatch",
        help="Print a script for SLURM's sbatch that runs this command in an array of tasks, and do nothing else.",
        show_default="off",
    ),
]

Engine = Annotated[
    str,
    typer.Option(
        help="What the work is done by: local, this process and others that are started with the same command; or ray, "
        "a worker on each GPU of a Ray cluster.",
        autocompletion=complete_engines,
    ),
]
GpusPerModel = Annotated[
    int,
    typer.Option(
        min=1,
        help="GPUs over which a model is shared out that is larger than one, in each process or Ray worker; as "
        "--device-map auto does over all that there are.",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="Address of the Ray cluster, such as 10.0.0.1:6379.",
        show_default="RAY_ADDRESS, else the one that runs on this machine, else one for this call",
    ),
]
Actors = Annotated[
    int | None,
    typer.Option(
        "--ray-workers", min=1, help="Workers at once, at most.", show_default="as many as the cluster has room for"
    ),
]

RateLogger = Annotated[
    str,
    typer.Option(
        "--logger",
        help="Comma-separated logs of samples/s, MB/s and what is waited for: csv, tensorboard, wandb; or none.",
        autocompletion=complete_loggers,
    ),
]
Logs = Annotated[
    Path | None,
    typer.Option(
        "--logs", help="Folder in whose logs/ --logger writes.", metavar="FOLDER", show_default="NAME.logs beside --out"
    ),
]

Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON, for programs.", show_default="off", callback=speak_to_programs),
]


def is_own_call(context: typer.Context, json_output: bool) -> bool:
    """Tells whether a group of commands is called itself, and not one of its commands.

    Raises `UsageError` for a --json that stands before the command.
    """
    if context.invoked_subcommand and json_output:
        raise UsageError(f"--json stands before {context.invoked_subcommand!r}; put it behind")
    return not context.invoked_subcommand
