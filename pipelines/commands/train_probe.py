from pathlib import Path
from typing import Annotated

import typer

Place = Annotated[str, typer.Argument(help="Folder or URL (s3://…) of a cache.")]
Task = Annotated[str, typer.Option(help="Comma-separated tasks, such as boxes.")]
Out = Annotated[Path, typer.Option(help="Folder for the results, one JSON per run.")]
Points = Annotated[str | None, typer.Option(help="Comma-separated points of the cache or patterns; all by default.")]
Heads = Annotated[str | None, typer.Option(help="Comma-separated heads; the task's own by default.")]
Seeds = Annotated[str, typer.Option(help="Comma-separated random seeds of the heads.")]
Config = Annotated[Path | None, typer.Option(help="YAML file of training options (epochs, learning_rate, …).")]


def run(
    cache: Place,
    task: Task,
    out: Out,
    points: Points = None,
    heads: Heads = None,
    seeds: Seeds = "0",
    config: Config = None,
) -> None:
    """Train cheap probe heads from a cache alone; the model is not needed.

    All heads and seeds of a point train together in one pass over its features. The epoch is selected on the
    validation split and reported once on the test split; splits go by the hash of each sample's group. Runs that
    are already in OUT with the same cache and options are kept.

    Example: foresight train-probe caches/coco --task boxes --points E4,E5 --out runs/coco
    """
    from foresight_cache import open_cache
    from foresight_probes.options import TrainingOptions, options_from_yaml
    from foresight_probes.training import train
    from pipelines.lists import numbers, words
    from pipelines.progress import progress

    opened = open_cache(cache)
    chosen = opened.select(words(points)) if points else opened.points
    with progress("train-probe", None, "runs") as advance:
        results = train(
            opened,
            tasks=words(task),
            points=chosen,
            heads=words(heads) if heads else None,
            seeds=numbers(seeds, "--seeds"),
            out=out,
            options=options_from_yaml(config) if config else TrainingOptions(),
            advance=advance,
        )
    for result in results:
        print(result)
