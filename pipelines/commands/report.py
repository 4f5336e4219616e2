from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json

Runs = Annotated[Path, typer.Argument(help="Folder of results that 'foresight train-probe' wrote.", metavar="RUNS")]
Out = Annotated[Path, typer.Option(help="Folder for report.html, report.md and the figures.")]


def run(runs: Runs, out: Out, json_output: Json = False) -> None:
    """Write an HTML and a Markdown report with a figure of each metric over the points.

    Example: foresight report runs/coco --out report
    """
    from foresight_probes.report import write_report
    from pipelines.output import print_json
    from pipelines.progress_bar import say

    page = write_report(runs, out, remark=say)
    if json_output:
        figures = sorted((out / "figures").iterdir())
        print_json({"html": page, "markdown": page.with_suffix(".md"), "figures": figures})
    else:
        print(page)
