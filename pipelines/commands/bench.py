import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

Part = Annotated[str, typer.Argument(help="What to measure: the name of a file in pipelines/bench, such as prepare.")]
Quick = Annotated[bool, typer.Option("--quick", help="On less data: a fraction of the time, and less telling.")]
Where = Annotated[Path, typer.Option(help="Disk to measure on; what is written there is removed again.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON list, for programs.")]


def run(part: Part, quick: Quick = False, where: Where = Path(), json_output: Json = False) -> None:
    """Measure the speed of one part, as ratios of things that are measured in turn in the same run.

    'prepare' packs 2,000 images of COCO's size and compares with a plain tar of them. 'probes' trains forty linear
    heads and one, and compares reading a cache with a bare scan of its bytes; it writes noise of 1.3 GB (230 MB with
    --quick). All is removed again.

    Example: foresight bench prepare --quick
    """
    from pipelines import bench
    from pipelines.bench_ratios import table

    measured = bench.part(part)
    with TemporaryDirectory(prefix=".foresight-bench-", dir=where) as folder:
        figures = measured.run(Path(folder), quick=quick)
    print(json.dumps([asdict(each) for each in figures], indent=1) if json_output else table(figures))
