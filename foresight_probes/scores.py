"""What the metrics know of each test sample, kept so that paired tests between runs need no training.

A Parquet file with the columns `id`, `group` and `scores` (a list of float64), for pandas, DuckDB and their like.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from foresight_cache.errors import ProbeError


class SampleScore(NamedTuple):
    """What the metrics know of one test sample."""

    id: str
    group: str
    scores: tuple[float, ...]
    """The task's numbers, such as one IoU per true object."""


def to_parquet(scores: Sequence[SampleScore]) -> bytes:
    """The same scores give the same bytes, with one version of pyarrow."""
    import pyarrow
    from pyarrow import parquet

    columns = {
        "id": pyarrow.array([each.id for each in scores], pyarrow.string()),
        "group": pyarrow.array([each.group for each in scores], pyarrow.string()),
        "scores": pyarrow.array([each.scores for each in scores], pyarrow.list_(pyarrow.float64())),
    }
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(path: Path) -> tuple[SampleScore, ...]:
    """Raises `ProbeError` for a file that is missing or damaged."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=["id", "group", "scores"]).to_pydict()
        rows = zip(table["id"], table["group"], table["scores"], strict=True)
        return tuple(SampleScore(str(name), str(group), tuple(map(float, scores))) for name, group, scores in rows)
    except (OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ProbeError(f"{path} is missing or damaged ({reason}); remove its run and train it again.") from error
