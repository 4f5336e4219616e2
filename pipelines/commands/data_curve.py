from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_cached_points, complete_heads, complete_tasks

CachePath = Annotated[str, typer.Argument(help="Folder, zip file or URL (s3://…) of a cache.", metavar="CACHE")]
Task = Annotated[
    str,
    typer.Option(help="Comma-separated tasks, such as classification,counting.", autocompletion=complete_tasks),
]
Out = Annotated[Path, typer.Option(help="Folder for the results, data_curve.csv, .png and .svg.")]
Points = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated points or patterns of the cache.",
        show_default="all of the cache",
        autocompletion=complete_cached_points,
    ),
]
Heads = Annotated[
    str | None,
    typer.Option(help="Comma-separated heads.", show_default="each task's own", autocompletion=complete_heads),
]
Halvings = Annotated[int, typer.Option(min=1, max=20, help="How often the training samples are halved.")]
Config = Annotated[
    Path | None,
    typer.Option(help="YAML file with the training options of docs/sweeps.md.", show_default="none"),
]


def run(
    cache: CachePath,
    task: Task,
    out: Out,
    points: Points = None,
    heads: Heads = None,
    halvings: Halvings = 5,
    config: Config = None,
    json_output: Json = False,
) -> None:
    """Train heads from ever more samples: how a metric grows with them, and the description length of classes.

    The test split is the same for all portions, each of which is part of the next. Of tasks with one class a sample the
    online code tells how few bits the answers take (Voita and Titov 2020).

    Example: foresight data-curve caches/coco --task classification --points E4,E5 --out curves
    """
    from foresight_cache import open_cache
    from foresight_probes.report.data_curve import curve_rows, write_curves
    from foresight_probes.sweeps.data_curve import data_curves, portions
    from foresight_probes.sweeps.sweep import parse_sweep
    from pipelines.output import print_json
    from pipelines.progress_bar import progress
    from pipelines.tables import text_table

    words = {"task": task, "points": points, "heads": heads, "controls": False, "logger": "none"}
    by_task = portions(open_cache(cache), parse_sweep(words, config).sweep, out, halvings)
    samples = sum(plan.samples for plans in by_task.values() for plan in plans)
    with progress("data-curve", samples or None) as advance:
        curves = [curve for plans in by_task.values() for curve in data_curves(plans, advance=advance)]
    figure = write_curves(curves, out)
    rows = curve_rows(curves)
    if json_output:
        print_json({"rows": rows, "figure": figure})
        return
    shown = [
        (
            *(str(row[name]) for name in ("task", "point", "run", "train")),
            f"{row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})",
            str(row["n"]),
            _code(row),
        )
        for row in rows
    ]
    print(
        *text_table(("task", "point", "run", "train", "metric", "n", "bits per answer, compression"), shown), sep="\n"
    )
    print(figure)


def _code(row: dict[str, Any]) -> str:
    if row["bits"] is None:
        return ""
    return "{bits:.3f}, {compression:.2f} ({compression_low:.2f}–{compression_high:.2f})".format(**row)
