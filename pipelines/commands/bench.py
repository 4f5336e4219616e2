from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

Part = Annotated[str, typer.Argument(help="What to measure: the name of a file in pipelines/bench, such as prepare.")]
Quick = Annotated[bool, typer.Option(help="A few seconds instead of a minute, on less data.")]
Where = Annotated[Path, typer.Option(help="Disk to measure on; what is written there is removed again.")]


def run(part: Part, quick: Quick = False, where: Where = Path()) -> None:
    """Measure the speed of one part against what it is compared with, in the same run.

    Example: foresight bench prepare --quick
    """
    from pipelines import bench

    measured = bench.part(part)
    with TemporaryDirectory(prefix=".foresight-bench-", dir=where) as folder:
        rows = measured.run(Path(folder), quick=quick)
    columns = list(rows[0])
    widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in columns}
    for row in (dict(zip(columns, columns, strict=True)), *rows):
        print("  ".join(f"{row[column]:{widths[column]}}" for column in columns).rstrip())
