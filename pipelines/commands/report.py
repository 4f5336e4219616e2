import shlex
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json

Runs = Annotated[
    list[Path],
    typer.Argument(
        help="Folder of results that 'foresight train-probe' wrote; several stand beside each other.",
        metavar="RUNS...",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for report.html, report.md and the figures.")]


Pdf = Annotated[bool, typer.Option("--pdf", help="Write report.pdf too: slides.", show_default="off")]


def run(runs: Runs, out: Out, pdf: Pdf = False, json_output: Json = False) -> None:
    """Write an HTML and a Markdown report with a figure of each task over the points.

    Of several folders, such as a model's and its random twin's, each task has a figure with a line for each.

    Example: foresight report runs/coco runs/coco-random --out report
    """
    from foresight_probes.report import write_report
    from pipelines.output import print_json
    from pipelines.progress_bar import say

    words = ["foresight", "report", *map(str, runs), "--out", str(out), *(["--pdf"] if pdf else [])]
    page = write_report(runs, out, pdf=pdf, command=shlex.join(words), written=date.today(), remark=say)
    if json_output:
        figures = sorted((out / "figures").iterdir())
        slides = {"pdf": page.with_suffix(".pdf")} if pdf else {}
        print_json({"html": page, "markdown": page.with_suffix(".md"), **slides, "figures": figures})
    else:
        print(page)
