"""Numbers of each test sample that are made from predictions, kept beside the run so that they are made once."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.predictions.kept_run import Predicted, file_of, named, predict
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore, from_parquet, to_parquet

IDENTITY = b"identity"
"""Key of the file's metadata that holds the run's identity and the version of what was made."""

TOLERANCE = 0.01
"""Distance of the first metric of the predictions from that of the run, relative to it where it is above 1, within
which they count as the same: a GPU rounds otherwise, which may keep another of two boxes."""


def kept_scores(
    result: Result, cache: Cache, name: str, version: int, score: Callable[[Predicted], np.ndarray]
) -> tuple[SampleScore, ...]:
    """Returns numbers of each test sample of a run, from `<run>.<name>.parquet` beside it, which is written once.

    The file is made anew where it is of another run or version, or damaged. It has the columns of the scores of runs.

    Args:
        result: A result that was read from its file.
        cache: The cache that it was trained from.
        name: What is made.
        version: Number that is raised where the same name is made otherwise.
        score: Returns the numbers of a sample, flat.

    Raises: `ProbeError` as `predict` does, where the predictions do not have the run's first metric, and where the
        file cannot be written.
    """
    path = file_of(result).with_suffix(f".{name}.parquet")
    bound = f"{result.identity} {version}".encode()
    known = _stored(path, bound)
    if known is None:
        known = _made(result, cache, score)
        try:
            write_file(path, _bound(to_parquet(known), bound))
        except OSError as error:
            raise ProbeError(f"cannot write {path}: {error.strerror or error}") from error
    return known


def _made(result: Result, cache: Cache, score: Callable[[Predicted], np.ndarray]) -> tuple[SampleScore, ...]:
    made: dict[str, np.ndarray] = {}
    scores: list[np.ndarray] = []
    task = None
    for own in predict(result, cache):
        made[own.sample["id"]] = score(own)
        scores.append(own.scores())
        task = own.task
    if task is None:
        raise ProbeError(f"{named(result)} has no test sample")
    found, stored = task.metrics(scores).get(task.primary, math.nan), result.metrics.get(task.primary)
    if stored and not abs(found - stored.value) <= TOLERANCE * max(1.0, abs(stored.value)):
        raise ProbeError(
            f"the weights of {named(result)} have a {task.primary} of {found:.4f}, and its file "
            f"{stored.value:.4f}; remove the run and train it again"
        )
    return tuple(SampleScore(own.id, own.group, tuple(map(float, made[own.id]))) for own in result.scores)


def _stored(path: Path, bound: bytes) -> tuple[SampleScore, ...] | None:
    """Returns what a file holds; None where it is not there, damaged, or of another run."""
    from pyarrow import ArrowException, parquet

    try:
        metadata = parquet.read_schema(path).metadata or {}
        return from_parquet(path) if metadata.get(IDENTITY) == bound else None
    except (OSError, ArrowException, ProbeError):
        return None


def _bound(content: bytes, bound: bytes) -> bytes:
    import pyarrow
    from pyarrow import parquet

    table = parquet.read_table(pyarrow.BufferReader(content))
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table.replace_schema_metadata({IDENTITY: bound}), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
