import json
import textwrap
from pathlib import Path
from typing import Annotated

import typer

Place = Annotated[Path, typer.Argument(help="Folder of results that 'foresight train-probe' wrote.")]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Only runs with COLUMN=VALUE (or !=, <, <=, >, >=); patterns such as point=llm.*; repeatable."),
]
Sort = Annotated[str | None, typer.Option(help="Comma-separated columns; a minus before one reverses it: -value.")]
Columns = Annotated[str | None, typer.Option(help="Comma-separated columns to show, such as run,value,psnr.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Show only the first so many.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON list, for programs.")]


def run(
    runs: Place,
    where: Where = None,
    sort: Sort = None,
    columns: Columns = None,
    limit: Limit = None,
    json_output: Json = False,
) -> None:
    """Tabulate finished runs; sort and filter them.

    Columns are task, point, run, head, seed, learning_rate, weight_decay, strength, epoch, value (the task's primary
    metric on the test split) with low and high, chance, validation, parameters, wall_seconds, and every metric by its
    name.

    Example: foresight runs runs/coco --where task=boxes --where "value>0.3" --sort -value
    """
    from foresight_probes.results.result import load_results, summary_row
    from foresight_probes.results.tables import DEFAULT, cells, select
    from pipelines.lists import words
    from pipelines.tables import text_table

    finished = [summary_row(result) for result in load_results(runs)]
    rows = select(finished, where=where or [], sort=words(sort or ""))[:limit]
    shown = words(columns) if columns else None
    if json_output:
        print(json.dumps([{name: row.get(name) for name in shown} if shown else row for row in rows], indent=1))
    else:
        columns_shown = shown or DEFAULT
        print(textwrap.dedent("\n".join(text_table(columns_shown, cells(rows, columns_shown)))))
