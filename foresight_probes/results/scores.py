"""Scores of samples: as they come from batches, and as they are stored for the test samples.

These are a Parquet file with the columns `id`, `group` and `scores` (a list of float64), for pandas, DuckDB and
their like, so that paired tests between runs need no training.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes.metrics import Scores


class Gathered:
    """Scores of samples from batches in any order.

    >>> gathered = Gathered()
    >>> gathered.add([7, 3], np.array([[0.7], [0.3]]))
    >>> gathered.add([5], np.array([[0.5]]))
    >>> gathered.rows.tolist(), gathered.scores.tolist()
    ([3, 5, 7], [[0.3], [0.5], [0.7]])
    """

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._parts: list[Scores] = []

    def add(self, rows: Sequence[int], scores: Scores) -> None:
        """Adds scores of samples by their rows of the sample table. Raises `ValueError` where they are not as many."""
        if len(rows) != len(scores):
            raise ValueError(f"{len(scores)} scores came for {len(rows)} samples")
        self._rows += rows
        self._parts.append(scores)

    @property
    def rows(self) -> np.ndarray:
        """Rows of the sample table, [S] int64, in rising order."""
        return np.sort(np.array(self._rows, np.int64))

    @property
    def scores(self) -> Scores:
        """Scores in the order of `rows`."""
        order = np.argsort(np.array(self._rows, np.int64))
        whole = [part for part in self._parts if isinstance(part, np.ndarray)]
        if whole and len(whole) == len(self._parts):
            return np.concatenate(whole)[order]
        every = list(chain(*self._parts))
        return [every[index] for index in order]


class SampleScore(NamedTuple):
    """Scores of one test sample, all that the metrics know of it."""

    id: str
    group: str
    scores: tuple[float, ...]
    """The task's numbers, such as one IoU per true object."""


def to_parquet(scores: Sequence[SampleScore]) -> bytes:
    """Returns the file's content; the same scores give the same bytes, with one version of pyarrow."""
    import pyarrow
    from pyarrow import parquet

    columns = {
        "id": pyarrow.array([score.id for score in scores], pyarrow.string()),
        "group": pyarrow.array([score.group for score in scores], pyarrow.string()),
        "scores": pyarrow.array([score.scores for score in scores], pyarrow.list_(pyarrow.float64())),
    }
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(path: Path) -> tuple[SampleScore, ...]:
    """Reads scores. Raises `ProbeError` for a file that is missing or damaged."""
    from pyarrow import parquet

    with _damage_named(path):
        table = parquet.read_table(path, columns=_COLUMNS).to_pydict()
        rows = zip(*(table[name] for name in _COLUMNS), strict=True)
        return tuple(SampleScore(str(name), str(group), tuple(map(float, scores))) for name, group, scores in rows)


def require_parquet(path: Path) -> None:
    """Raises `ProbeError` for a file that is missing, cut off or of other columns, without reading its rows."""
    from pyarrow import parquet

    with _damage_named(path):
        missing = set(_COLUMNS) - set(parquet.read_schema(path).names)
        if missing:
            raise KeyError(f"no column {min(missing)}")


_COLUMNS = list(SampleScore._fields)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (OSError, KeyError, TypeError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ProbeError(f"{path} is missing or damaged ({reason}); remove its run and train it again") from error
