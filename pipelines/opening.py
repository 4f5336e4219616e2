"""The arguments of a command opened: shards, a model and what is asked of it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foresight_cache.encoders import Encoder, LoadOptions
    from foresight_cache.extraction.input_spec import InputSpec
    from foresight_cache.extraction.options import Execution, ExtractionOptions
    from foresight_cache.shards import ShardSet


def described(
    shards: Path, model: str, points: str, inputs: "InputSpec", loading: "LoadOptions", execution: "Execution"
) -> "tuple[ShardSet, Encoder, ExtractionOptions]":
    """Reads the shards' index and the model's configuration, and no weights.

    Raises `ShardError`, `ModelError` and `UsageError`.
    """
    from foresight_cache.encoders import describe
    from foresight_cache.extraction.options import ExtractionOptions
    from foresight_cache.lists import split_list
    from foresight_cache.points import resolve
    from foresight_cache.shards import open_shards

    named = split_list(points, "--points")
    shard_set = open_shards(shards)
    encoder = describe(model, loading)
    resolved = resolve(named, [tap.name for tap in encoder.taps])
    encoder.check_points(resolved)
    if inputs.size.fixed:
        encoder.grid("patch", 1, *inputs.size.fixed)
    return shard_set, encoder, ExtractionOptions(points=resolved, inputs=inputs, execution=execution)


def opened(
    shards: Path, model: str, points: str, inputs: "InputSpec", loading: "LoadOptions", execution: "Execution"
) -> "tuple[ShardSet, Encoder, ExtractionOptions]":
    """Loads the shards' index and of the model only what the points need.

    Raises `ShardError`, `ModelError` and `UsageError`.
    """
    from foresight_cache.encoders import load

    shard_set, _, options = described(shards, model, points, inputs, loading, execution)
    return shard_set, load(model, loading, [point.tap for point in options.points]), options
