"""Lengths of visual tokens and of words by layer, for each image, and the channels that make them long."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from foresight_cache.points import Point
from foresight_cache.reader import Cache
from foresight_cache.runtime.durable_files import replacing
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.lens.picture_mask import shows_picture

OF_PROMPT = ("text", "last_query", "last_question")
"""Readouts of words of the prompt."""
STRONGEST = 3
"""Channels that are named for each image and point."""
SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("sample", "group", "point", "layer", "of")),
        pa.field("tokens", pa.int32()),
        *(pa.field(name, pa.float32()) for name in ("mean", "deviation", "least", "median", "most")),
        pa.field("channels", pa.list_(pa.int32())),
        pa.field("shares", pa.list_(pa.float32())),
        pa.field("cosine", pa.float32()),
        pa.field("cosine_elsewhere", pa.float32()),
    ]
)
"""Columns. `of` is `image` or `text`, of the prompt; `layer` is the point, without the readout `text`. `mean` to `most`
are of the lengths (L2) of a sample's tokens. `channels` are the strongest ones, and `shares` of the sum of squares that
each has. `cosine` is the mean cosine of tokens with themselves at the first of the points of the same channels, and
`cosine_elsewhere` with tokens of other places there."""


def write_statistics(
    cache: Cache, numbers: Sequence[int], points: Sequence[str], path: Path, advance: Advance = silent
) -> None:
    """Writes a Parquet file with a row for each sample and point, whole or not at all. Raises `CorruptCache`.

    Args:
        cache: The cache.
        numbers: Its samples.
        points: Its points, in the order of computation; those with the readout `@text` are of words.
        path: The file.
        advance: Called after each sample.
    """
    with replacing(path) as file, pq.ParquetWriter(file, SCHEMA) as writer:
        for number in numbers:
            row, first = cache.rows[number], dict[tuple[str, int], np.ndarray]()
            lines = []
            for point in points:
                own = Point.parse(point)
                tokens_ND = cache[point][number].astype(np.float32)
                if own.readout == "tokens":
                    tokens_ND = tokens_ND[shows_picture(row, cache[point].grid_of(number))]
                if not len(tokens_ND):
                    continue  # a prompt without words of its own
                of = "text" if own.readout in OF_PROMPT else "image"
                layer = Point(own.tap, own.readout if own.readout != "text" else "tokens")
                start_ND = first.setdefault((of, tokens_ND.shape[1]), tokens_ND)
                lines.append(
                    {
                        **{"sample": row["id"], "group": str(row["group"]), "point": point},
                        **{"layer": str(layer), "of": of, **_lengths(tokens_ND)},
                        **_channels(tokens_ND),
                        **_cosines(tokens_ND, start_ND),
                    }
                )
            writer.write_table(pa.Table.from_pylist(lines, SCHEMA))
            advance(1, 0)


def _lengths(tokens_ND: np.ndarray) -> Mapping[str, float]:
    lengths_N = np.linalg.norm(tokens_ND.astype(np.float64), axis=1)
    return {
        **{"tokens": len(lengths_N), "mean": lengths_N.mean(), "deviation": lengths_N.std()},
        **{"least": lengths_N.min(), "median": np.median(lengths_N), "most": lengths_N.max()},
    }


def _channels(tokens_ND: np.ndarray) -> Mapping[str, list[float]]:
    squares_D = np.square(tokens_ND, dtype=np.float64).sum(0)
    strongest = np.argsort(-squares_D, kind="stable")[:STRONGEST]
    total = squares_D.sum() or 1.0
    return {"channels": strongest.tolist(), "shares": (squares_D[strongest] / total).tolist()}


def _cosines(tokens_ND: np.ndarray, start_ND: np.ndarray) -> Mapping[str, float | None]:
    if tokens_ND.shape != start_ND.shape:
        return {"cosine": None, "cosine_elsewhere": None}
    own_ND, first_ND = _unit(tokens_ND), _unit(start_ND)
    count = len(own_ND)
    same = float((own_ND * first_ND).sum())
    every = float(own_ND.sum(0) @ first_ND.sum(0))
    elsewhere = (every - same) / (count * (count - 1)) if count > 1 else None
    return {"cosine": same / count, "cosine_elsewhere": elsewhere}


def _unit(tokens_ND: np.ndarray) -> np.ndarray:
    lengths_N1 = np.linalg.norm(tokens_ND.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(tokens_ND / np.where(lengths_N1 > 0, lengths_N1, np.inf))
