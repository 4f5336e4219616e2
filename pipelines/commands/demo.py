from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path, typer.Option(help="Folder for all that the demo makes.")]


def run(out: Out = Path("demo")) -> None:
    """See the whole way at work in two minutes: scenes, tars, cache, probes, report.

    Draws synthetic scenes with known boxes, runs them through a tiny Qwen2.5-VL (the real architecture, random
    weights, nothing is downloaded), caches the tokens of the points E1 to E8, trains a box probe at each of them
    and writes a report. A second run changes nothing.

    Example: foresight demo --out demo
    """
    from pipelines.demo import run_demo

    run_demo(out)
