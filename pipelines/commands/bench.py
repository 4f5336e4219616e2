from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from foresight_cache.errors import UsageError
from pipelines.commands.options import Json
from pipelines.completion import complete_parts

Part = Annotated[
    str,
    typer.Argument(
        help="What to measure: codecs, extract, intervals, plan, prepare or probes.",
        metavar="PART",
        autocompletion=complete_parts,
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Use less data: a fraction of the time, and less telling.", show_default="off")
]
Where = Annotated[
    Path,
    typer.Option(
        help="Folder on the disk to measure on; what is written there is removed again.", show_default="this folder"
    ),
]


OwnModel = Annotated[
    str | None,
    typer.Option(
        "--model", help="Model that codecs takes: id or local directory.", show_default="DINOv2-small, random"
    ),
]
OwnShards = Annotated[
    Path | None,
    typer.Option("--shards", help="Folder of prepared samples that codecs takes.", show_default="synthetic scenes"),
]


def run(
    part: Part,
    quick: Quick = False,
    where: Where = Path(),
    model: OwnModel = None,
    shards: OwnShards = None,
    json_output: Json = False,
) -> None:
    """Measure the speed of one part, as ratios of things that are measured in turn in the same run.

    'extract' compares extraction with the bare forward pass of the same model and with a plain script that hooks
    and saves, for minutes on a CPU. 'prepare' packs 2,000 images of COCO's size and compares with a plain tar of them.
    'probes' trains forty linear heads and one, and compares reading a cache with a bare scan of its bytes; it writes
    noise of 1.3 GB (230 MB with --quick). 'intervals' resamples the mean average precision of 5,000 images 1,000 times,
    and compares with pycocotools. 'codecs' extracts the same features with each codec and compares bytes, extraction,
    reading and training, of a model and samples of your own where they are given. 'plan' extracts with one process and
    with two, and compares with the time that was planned; it needs two idle cores. All is removed again.

    Example: foresight bench prepare --quick
    """
    from pipelines import bench
    from pipelines.bench.measuring.given import Given
    from pipelines.bench.measuring.ratios import table
    from pipelines.output import print_json

    measured = bench.part(part)
    if (model or shards) and not measured.TAKES_GIVEN:
        raise UsageError(f"'bench {part}' takes no --model and no --shards; they are for: foresight bench codecs")
    with TemporaryDirectory(prefix=".foresight-bench-", dir=where) as folder:
        figures = measured.run(Path(folder), quick=quick, given=Given(model=model, shards=shards))
    if json_output:
        print_json([asdict(figure) for figure in figures])
    else:
        print(table(figures))
