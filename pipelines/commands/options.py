"""Arguments that `extract` and `plan` share, and how they become shards, an encoder and options."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foresight_cache.encoders import Encoder, LoadOptions
    from foresight_cache.extraction.input_spec import InputSpec
    from foresight_cache.extraction.options import Execution, ExtractionOptions
    from foresight_cache.shards import ShardSet

Shards = Annotated[Path, typer.Argument(help="Folder that 'foresight prepare' wrote.")]
Model = Annotated[
    str,
    typer.Option(
        help="Hub id, local directory, tiny:<family> (small, random weights) or random:<hub id or directory>."
    ),
]
Points = Annotated[str, typer.Option(help="Comma-separated points, aliases E1…E8, sets (q2) or patterns ('vit.*').")]
Out = Annotated[Path, typer.Option(help="Folder of the cache, new or to be continued.")]
MaxBad = Annotated[float, typer.Option(min=0, max=1, help="Share of unusable samples past which the command fails.")]


def opened(
    shards: Path, model: str, points: str, inputs: "InputSpec", loading: "LoadOptions", execution: "Execution"
) -> "tuple[ShardSet, Encoder, ExtractionOptions]":
    """Loads the shards' index and of the model only what the points need.

    Raises `ShardError`, `ModelError` and `UsageError`.
    """
    from foresight_cache.encoders import describe, load
    from foresight_cache.extraction.options import ExtractionOptions
    from foresight_cache.points import resolve
    from foresight_cache.shards import open_shards

    shard_set = open_shards(shards)
    described = describe(model, loading)
    resolved = resolve(points.split(","), [tap.name for tap in described.taps])
    described.check_points(resolved)
    if inputs.size.fixed:
        described.grid("patch", 1, *inputs.size.fixed)
    options = ExtractionOptions(points=resolved, inputs=inputs, execution=execution)
    return shard_set, load(model, loading, [point.tap for point in resolved]), options
