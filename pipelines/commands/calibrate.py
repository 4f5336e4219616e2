from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_tasks

Out = Annotated[Path, typer.Option(help="Folder for the planted caches, the runs, and table.json, .csv and .md.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Fewer samples, geometries and heads: minutes, not hours.", show_default="off")
]
Tasks = Annotated[
    str | None,
    typer.Option(help="Comma-separated tasks ('foresight tasks').", show_default="all", autocompletion=complete_tasks),
]
MOST_WORKERS = 16
"""Processes by default, of some 2 GB each."""
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes that train beside each other.", show_default=f"one per core, {MOST_WORKERS} at most"
    ),
]


def run(
    out: Out,
    quick: Quick = False,
    tasks: Tasks = None,
    workers: Workers = None,
    json_output: Json = False,
) -> None:
    """Try every probe on planted caches, in which what can be known is known.

    Each task with each of its default heads is trained as train-probe does, on points that hold the answer linearly,
    behind a sign, under noise of known power, in nine geometries, or not at all. The table says what was expected,
    what was obtained, and whether the probe is fit. What is finished is kept, so that the same command goes on.

    Example: foresight calibrate --quick --out calibration
    """
    import os
    from dataclasses import asdict

    from foresight_cache.lists import split_list
    from foresight_probes.calibration.checks import FULL, QUICK, instruments
    from foresight_probes.calibration.table import COLUMNS, calibrate, to_json
    from foresight_probes.calibration.trainings import trainings
    from foresight_probes.results.tables import cells
    from pipelines.output import print_json
    from pipelines.progress_bar import progress, say
    from pipelines.tables import text_table

    extent = QUICK if quick else FULL
    chosen = instruments(extent, None if tasks is None else split_list(tasks, "--tasks"))
    total = sum(len(own.points) for instrument in chosen for own in trainings(instrument, extent))
    with progress("calibrate", total, unit="runs") as advance:
        beside = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        table = calibrate(chosen, extent, out, workers=beside, advance=advance, say=say)
    if json_output:
        print_json(to_json(table, extent))
        return
    rows = [asdict(row) for own in table for row in own.rows]
    print("\n".join(text_table(COLUMNS, cells(rows, COLUMNS))))
