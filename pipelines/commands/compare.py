from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json

Runs = Annotated[
    Path,
    typer.Argument(
        help="Folder of results that 'foresight train-probe' wrote, or of a study, or a group of its runs "
        "(STUDY/runs/GROUP).",
        metavar="RUNS",
    ),
]
Other = Annotated[
    Path | None,
    typer.Argument(
        help="Another such folder, with each point of which the same one is compared, on the test samples that both "
        "have.",
        metavar="[OTHER]",
        show_default="none: the points of RUNS with one of them",
    ),
]
Across = Annotated[
    bool,
    typer.Option(
        "--across",
        help="Compare runs of caches whose fingerprints differ, such as of two models or input sizes.",
        show_default="off: they are refused",
    ),
]
TaskName = Annotated[str, typer.Option("--task", help="Task whose results are compared.")]
Out = Annotated[Path, typer.Option(help="Folder for comparison.csv, .png, .svg and .html.")]
Head = Annotated[
    str | None, typer.Option(help="Head whose results are compared.", show_default="that which validation chooses")
]
Metric = Annotated[str | None, typer.Option(help="Metric that is compared.", show_default="the task's first")]
Against = Annotated[
    str | None,
    typer.Option(help="Point that all others are compared with.", show_default="that which validation chooses"),
]


def run(
    runs: Runs,
    task: TaskName,
    out: Out,
    other: Other = None,
    across: Across = False,
    head: Head = None,
    metric: Metric = None,
    against: Against = None,
    json_output: Json = False,
) -> None:
    """Compare points under one task: paired differences with intervals, and the sentence that follows.

    P-values are adjusted for the number of points by Holm's method, and it is said what differences so many test
    samples could not tell. With a second folder each point is compared with itself there, such as another model's
    or date's, on the test samples whose ids both have.

    Example: foresight compare runs/coco --task boxes --against E4 --out comparison
    """
    from foresight_cache.errors import UsageError
    from foresight_probes.report.compared_points import compare_points, format_p, shown
    from foresight_probes.report.comparison import write_comparison
    from pipelines.output import print_json
    from pipelines.progress_bar import say
    from pipelines.tables import text_table

    if other is not None and against is not None:
        raise UsageError("--against names a point of RUNS, but with a second folder each point is compared with itself")
    if other is None and across:
        raise UsageError("--across is for two folders of runs, and one was given; name another behind it")
    comparison = compare_points(
        runs, task, other=other, across=across, head=head, metric=metric, against=against, remark=say
    )
    page = write_comparison(comparison, out)
    paired = comparison.pairing.sentences if comparison.pairing else ""
    if json_output:
        said = {"sentence": comparison.sentence, "remark": comparison.remark, "paired": paired}
        print_json({**said, "points": comparison.rows(), "page": page})
        return
    rows = [
        (own.name, f"{own.value.value:.3f}", shown(own), format_p(own.comparison.p_value), format_p(own.holm))
        for own in comparison.points
    ]
    print(*text_table(("point", comparison.metric, f"against {comparison.against}", "p", "Holm"), rows), sep="\n")
    print(comparison.sentence)
    for text in filter(None, (paired, comparison.remark)):
        print(text)
    print(page)
