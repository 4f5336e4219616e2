from pathlib import Path
from typing import Annotated

import typer

Runs = Annotated[Path, typer.Argument(help="Folder of results that 'foresight train-probe' wrote.")]
Out = Annotated[Path, typer.Option(help="Folder for report.html, report.md and the figures.")]


def run(runs: Runs, out: Out) -> None:
    """Write an HTML and a Markdown report with a figure of each metric over the points.

    Example: foresight report runs/coco --out report
    """
    from foresight_probes.report import write_report

    print(write_report(runs, out))
