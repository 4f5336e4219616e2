"""The words of tokens as a table, written as it is made."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foresight_cache.runtime.durable_files import replacing
from foresight_probes.lens.lens_run import SampleWords

SCHEMA = pa.schema(
    [
        pa.field("sample", pa.string()),
        *(pa.field(axis, pa.int32()) for axis in ("t", "y", "x")),
        *(pa.field(name, pa.string()) for name in ("point", "lens")),
        pa.field("rank", pa.int32()),
        pa.field("token", pa.string()),
        pa.field("token_id", pa.int64()),
        pa.field("phrase", pa.string()),
        pa.field("position", pa.int32()),
        pa.field("contextual_layer", pa.int32()),
        pa.field("similarity", pa.float32()),
    ]
)
"""Columns. A row is one neighbour of one token; `rank` counts from 1. `similarity` is a cosine, or a logit of the lens
`logit`. Words without a context have no phrase, position and contextual layer."""


def write_words(samples: Iterable[SampleWords], path: Path) -> Iterator[SampleWords]:
    """Writes a Parquet file, whole or not at all, a row group a sample, and yields each once its rows are in it."""
    with replacing(path) as file, pq.ParquetWriter(file, SCHEMA) as writer:
        for sample in samples:
            rows = _table(sample)
            if len(rows):  # else a sample whose points have no tokens, such as words of a prompt without any
                writer.write_table(rows, row_group_size=len(rows))
            yield sample


def _table(sample: SampleWords) -> pa.Table:
    return pa.concat_tables(_part(sample, point, lens) for point, lens in sample.words)


def _part(sample: SampleWords, point: str, lens: str) -> pa.Table:
    found, grid = sample.words[point, lens], sample.grids[point]
    queries, most = found.values_QK.shape
    cells_3Q = np.repeat(np.indices(grid, np.int32).reshape(3, -1), most, axis=1)
    columns: dict[str, Any] = {
        "sample": [sample.id] * (queries * most),
        **dict(zip("tyx", cells_3Q, strict=True)),
        "point": [point] * (queries * most),
        "lens": [lens] * (queries * most),
        "rank": np.tile(np.arange(1, most + 1, dtype=np.int32), queries),
        **{name: column.reshape(-1) for name, column in found.columns.items()},
        "similarity": found.values_QK.reshape(-1),
    }
    arrays = [pa.array(columns.get(field.name, [None] * (queries * most)), field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
