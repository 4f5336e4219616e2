import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

Part = Annotated[str, typer.Argument(help="What to measure: probes.")]
Quick = Annotated[bool, typer.Option("--quick", help="On less data: a quarter of the time, and less telling.")]
Scratch = Annotated[Path | None, typer.Option(help="Folder for the made-up cache; else the system's temporary one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON list, for programs.")]


def run(part: Part, quick: Quick = False, scratch: Scratch = None, json_output: Json = False) -> None:
    """Measure speed on this machine, as ratios of two things that are measured in turn.

    'probes' trains forty linear heads and one, and compares reading a cache with a bare scan of its bytes. It writes
    a cache of noise of 1.3 GB (230 MB with --quick), and removes it.

    Example: foresight bench probes --quick
    """
    from dataclasses import asdict
    from importlib import import_module

    from foresight_cache.errors import UnknownName
    from pipelines.benchmarks import table

    if part != "probes":
        raise UnknownName("benchmark", part, ["probes"])
    measure = import_module(f"pipelines.benchmarks.{part}")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="foresight-bench-") as folder:
        found = measure.figures(Path(folder) / "cache", quick=quick)
    print(json.dumps([asdict(each) for each in found], indent=1) if json_output else table(found))
