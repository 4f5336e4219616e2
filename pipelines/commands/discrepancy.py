from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import Json

Out = Annotated[Path, typer.Option(help="Folder for caches, runs, and factors.csv, .md, .png and .svg.")]
Model = Annotated[
    str,
    typer.Option(help="Vision model of 9 blocks or more, patches of 14 pixels: Hugging Face id or local directory."),
]
Scenes = Annotated[
    int, typer.Option(min=20, help="Scenes that are drawn of several objects, and as many of one object.")
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--lpips-weights",
        help="Folder with alexnet*.safetensors or .pth, which LPIPS needs.",
        show_default="torch's cache of downloads",
    ),
]
MOST_WORKERS = 4
"""Processes by default: more than the longest of the parts leaves idle."""
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes that work beside each other.", show_default=f"one per core, {MOST_WORKERS} at most"
    ),
]


def run(
    out: Out = Path("discrepancy"),
    model: Model = "facebook/dinov2-small",
    scenes: Scenes = 800,
    lpips_weights: Weights = None,
    workers: Workers = None,
    json_output: Json = False,
) -> None:
    """Show why a probe reads zero: pooled, unmatched and unconverged probes, one thing changed at a time.

    Draws scenes with known boxes, caches a vision model's tokens and those of a tiny Qwen2.5-VL, trains the first box,
    detection and picture probes of the studies as they were written, and with one thing changed. The table says what
    each factor makes, with intervals. Caches and runs are kept, so that the same command goes on.

    Example: foresight discrepancy --out discrepancy
    """
    import os
    from dataclasses import asdict

    from pipelines.discrepancy.parts import PARTS, Request, distance_of
    from pipelines.discrepancy.run import compare
    from pipelines.output import print_json
    from pipelines.progress_bar import progress, say

    request = Request(out=out, model=model, scenes=scenes, lpips_weights=lpips_weights)
    distance = distance_of(lpips_weights)
    if isinstance(distance, str):
        say(distance)
    with progress("discrepancy", len(PARTS), unit="parts") as advance:
        factors = compare(request, workers or min(os.cpu_count() or 1, MOST_WORKERS), advance)
    if json_output:
        print_json({name: [asdict(own) for own in getattr(factors, name)] for name in ("rows", "shares")})
        return
    print((out / "factors.md").read_text(encoding="utf-8"), end="")
