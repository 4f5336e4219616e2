"""Trials of codecs on a pilot's features: how much smaller each makes them, and how long one thread takes."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from foresight_cache.cached_point import CachedPoint
from foresight_cache.format.codecs import CODECS, CodecName
from foresight_cache.format.layout import PointLayout
from foresight_cache.reader import Cache

MOST_BYTES = 48_000_000
"""Most that each codec compresses, of all points together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecTrial:
    """One codec on features of every point."""

    codec: CodecName
    ratios: Mapping[str, float]
    """Bytes stored for each raw byte, by point; of real features, so that they are the dataset's, too."""
    seconds_per_byte: float
    """Seconds in which one thread compresses a raw byte; 0 for the codec none."""
    seconds_per_byte_read: float
    """Seconds in which one thread decompresses a raw byte."""


def try_codecs(cache: Cache) -> tuple[CodecTrial, ...]:
    """Returns what each codec makes of the first good samples of every array."""
    good = [number for number, row in enumerate(cache.rows) if row["status"] == "ok"]
    each = MOST_BYTES // max(1, len(cache.arrays))
    chunks = {name: list(_chunks(CachedPoint(cache, name), good, each)) for name in cache.arrays}
    return tuple(_tried(codec, cache.layout.points, chunks) for codec in CODECS)


def _chunks(point: CachedPoint, good: list[int], most: int) -> Iterator[np.ndarray]:
    """Yields chunks of the stored type, at least one of each point."""
    layout = point.layout
    count = max(1, most // layout.chunk_bytes)
    whole = (chunk for number in good for chunk in _padded(point.stored(number), layout))
    return islice(whole, count)


def _padded(tokens_ND: np.ndarray, layout: PointLayout) -> Iterator[np.ndarray]:
    step = layout.tokens_per_chunk
    bits_ND = tokens_ND.view(f"u{tokens_ND.dtype.itemsize}")
    for start in range(0, len(bits_ND), step):
        chunk = np.zeros((step, layout.width), bits_ND.dtype)
        chunk[: len(bits_ND) - start] = bits_ND[start : start + step]
        yield chunk


def _tried(codec: CodecName, points: Mapping[str, PointLayout], chunks: Mapping[str, list[np.ndarray]]) -> CodecTrial:
    ratios, raw, writing, reading = {}, 0, 0.0, 0.0
    for name, of_point in chunks.items():
        chunk_codec = replace(points[name], codec=codec).chunk_codec
        out = np.zeros(chunk_codec.size, np.uint8)
        stored = 0
        for chunk in of_point:
            begun = time.perf_counter()
            data = chunk_codec.encode(chunk)
            encoded = time.perf_counter()
            chunk_codec.decode(data, out.data)
            reading += time.perf_counter() - encoded
            writing += encoded - begun
            stored += len(data)
        ratios[name] = stored / (len(of_point) * chunk_codec.size)
        raw += len(of_point) * chunk_codec.size
    plain = codec == "none"
    return CodecTrial(
        codec=codec,
        ratios=ratios,
        seconds_per_byte=0.0 if plain else writing / raw,
        seconds_per_byte_read=0.0 if plain else reading / raw,
    )
