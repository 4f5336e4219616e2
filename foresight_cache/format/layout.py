"""Every name, order and shape of the cache formats. `docs/cache_format.md` is its specification in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import ml_dtypes
import numpy as np

from foresight_cache.format.codecs import ChunkCodec, CodecName, chunk_codec
from foresight_cache.records import digest
from foresight_cache.samples import Grid

FORMATS = (1, 2)
"""Formats that are read: 2 is that of caches with a codec at any point, and says of each point which."""
ATTRIBUTE = "foresight"
"""Key of everything that is ours in Zarr attributes."""

ROOT_KEY = "zarr.json"
SAMPLES = "samples"
"""Group that holds the sample table's parts; a part is the commit of its shard."""
PARTIAL = f"{SAMPLES}/.partial"
"""Folder of objects that are being written; nothing in it is ever read."""

TOKENS_PER_CHUNK = 128
"""Tokens in an inner chunk of an array whose samples differ in size (196 times as many pixels)."""
PIXELS_PER_PATCH = 196

Level = Literal["pixel", "patch", "merged", "pooled", "text"]
"""Kinds of tokens: pixels, patches, merged tokens, one vector for the whole sample, or the prompt's own in a row."""
LEVELS: tuple[Level, ...] = get_args(Level)
POOLED_GRID = Grid(1, 1, 1)
"""The grid of every sample on the level `pooled`, which no row needs to repeat."""
GRID_LEVELS = tuple(level for level in LEVELS if level != "pooled")
"""Levels whose grids a sample's row has."""
MOST_TEXT_TOKENS = 4096
"""Tokens of a prompt that the level `text` has place for."""
DType = Literal["bfloat16", "float32", "float16", "uint8"]
DTYPES: tuple[DType, ...] = get_args(DType)
STORED_TYPES: dict[str, str] = {"bfloat16": "uint16", "float32": "float32", "float16": "float16", "uint8": "uint8"}
"""Zarr data type of the array for each type of number; zarr-python has no bfloat16."""
NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "uint8": np.dtype("u1"),
}


def commit_key(shard: int) -> str:
    return f"{SAMPLES}/{shard:06d}.json"


def object_key(point: str, shard: int) -> str:
    return f"{point}/c/{shard}/0/0"


def metadata_key(point: str) -> str:
    return f"{point}/zarr.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PointLayout:
    """One array: [sample, token, channel]."""

    level: Level
    """Grid of a sample on which the tokens lie."""
    dtype: DType
    """Type of the numbers; bfloat16 is stored as its bits in uint16."""
    tokens: int
    """Length of the token axis: of every sample, or the most that a sample can have."""
    width: int
    """Channels."""
    tokens_per_chunk: int
    """Tokens in an inner chunk; equal to `tokens` where all samples have the same size."""
    codec: CodecName = "none"
    """How inner chunks are compressed; the numbers are the same."""

    @classmethod
    def fixed(cls, level: Level, dtype: DType, tokens: int, width: int) -> Self:
        """Returns the layout for samples that all have the same number of tokens: one inner chunk holds one sample."""
        return cls(level=level, dtype=dtype, tokens=tokens, width=width, tokens_per_chunk=tokens)

    @classmethod
    def ragged(cls, level: Level, dtype: DType, most: int, width: int) -> Self:
        """Returns the layout for samples of up to `most` tokens, in chunks of 128; absent chunks take no space."""
        chunk = TOKENS_PER_CHUNK * (PIXELS_PER_PATCH if level == "pixel" else 1)
        return cls(level=level, dtype=dtype, tokens=-(-most // chunk) * chunk, width=width, tokens_per_chunk=chunk)

    @property
    def chunks_per_sample(self) -> int:
        return self.tokens // self.tokens_per_chunk

    @property
    def chunk_bytes(self) -> int:
        """Bytes of an inner chunk before it is compressed, without its checksum."""
        return self.tokens_per_chunk * self.width * self.numpy_dtype.itemsize

    @property
    def chunk_codec(self) -> ChunkCodec:
        """The codec of the inner chunks."""
        return chunk_codec(self.codec, self.numpy_dtype.itemsize, self.chunk_bytes)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The numbers' type; bfloat16 is `ml_dtypes.bfloat16`."""
        return NUMPY_DTYPES[self.dtype]

    def dimension_names(self, name: str) -> list[str]:
        """Returns the names under which `xarray` opens the whole cache as one dataset: equal names have equal sizes."""
        if self.level == "pixel":
            return ["sample", "pixel", "rgb" if self.width == 3 else "label"]
        language = name.startswith(("llm.", "vit.post_merge")) or self.level == "merged"
        return ["sample", self.level, "language_channel" if language else "vision_channel"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSource:
    """The tar that a shard was made from."""

    name: str
    sha256: str
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheLayout:
    """All that the root's attributes say."""

    fingerprint: Mapping[str, Any]
    samples_per_shard: int
    shards: tuple[ShardSource, ...]
    points: Mapping[str, PointLayout]
    """Points in the order of computation, `pixels` last."""

    @property
    def format(self) -> int:
        """Number of the format: 1 where no point is compressed."""
        return 1 if all(point.codec == "none" for point in self.points.values()) else 2

    @property
    def digest(self) -> str:
        """SHA-256 of the fingerprint: the identity of the cache."""
        return digest(self.fingerprint)

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)
