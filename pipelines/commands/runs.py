import textwrap
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json
from pipelines.completion import complete_columns

Place = Annotated[Path, typer.Argument(help="Folder of results that 'foresight train-probe' wrote.", metavar="RUNS")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        help="Only runs with COLUMN=VALUE (or !=, <, <=, >, >=); patterns as point=llm.*; repeated, all must hold.",
        show_default="all runs",
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated columns; a minus before one reverses it: -value.",
        show_default="task, then point in the order of computation",
        autocompletion=complete_columns,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated columns to show, such as run,value,psnr.",
        show_default="task to epoch, with the task's primary metric",
        autocompletion=complete_columns,
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Show only the first so many runs.", show_default="all")]


def run(
    runs: Place,
    where: Where = None,
    sort: Sort = None,
    columns: Columns = None,
    limit: Limit = None,
    json_output: Json = False,
) -> None:
    """Tabulate finished runs; sort and filter them.

    Columns are task, point, alias (E4, which --where "point=E4" knows too), run (its name), head, seed,
    learning_rate, weight_decay, strength, neighbours, epoch, value (the task's primary metric on the test split)
    with low and high, chance, validation, parameters, wall_seconds, and every metric by its name.

    Example: foresight runs runs/coco --where task=boxes --where "value>0.3" --sort -value
    """
    from foresight_cache.lists import split_list
    from foresight_probes.results.point_aliases import alias_of
    from foresight_probes.results.result import load_results, summary_row
    from foresight_probes.results.tables import DEFAULT, cells, require_columns, select
    from pipelines.output import print_json
    from pipelines.progress_bar import say
    from pipelines.tables import text_table

    results = load_results(runs, remark=say)
    finished = [summary_row(result) | {"alias": alias_of(result) or None} for result in results]
    shown = split_list(columns, "--columns") if columns is not None else None
    require_columns(shown or (), finished)
    rows = select(finished, where=where or [], sort=split_list(sort, "--sort") if sort is not None else ())[:limit]
    if json_output:
        print_json([{name: row.get(name) for name in shown} if shown else row for row in rows])
    else:
        columns_shown = shown or DEFAULT
        print(textwrap.dedent("\n".join(text_table(columns_shown, cells(rows, columns_shown)))))
