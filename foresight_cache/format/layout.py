"""Every name, order and shape of cache format 1. `docs/cache_format.md` is its specification in words."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

import ml_dtypes
import numpy as np

from foresight_cache.errors import CorruptCache, NotACache, UnsupportedFormat
from foresight_cache.fingerprint import canonical_json, digest
from foresight_cache.records import JsonObject, is_deep, safe_point_name, unique
from foresight_cache.samples import Grid

FORMAT_VERSION = 1
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

Level = Literal["pixel", "patch", "merged", "pooled"]
"""What the tokens of a point are: pixels, patches, merged tokens, or one vector for the whole sample."""
LEVELS: tuple[Level, ...] = get_args(Level)
POOLED_GRID = Grid(1, 1, 1)
"""The grid of every sample on the level `pooled`, which no row needs to repeat."""
GRID_LEVELS = tuple(level for level in LEVELS if level != "pooled")
"""Levels whose grids a sample's row has."""
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
    """Which of a sample's grids the tokens lie on."""
    dtype: DType
    """What the numbers are; bfloat16 is stored as its bits in uint16."""
    tokens: int
    """Length of the token axis: of every sample, or the most that a sample can have."""
    width: int
    """Channels."""
    tokens_per_chunk: int
    """Tokens in an inner chunk; equal to `tokens` where all samples have the same size."""

    @classmethod
    def fixed(cls, level: Level, dtype: DType, tokens: int, width: int) -> Self:
        """All samples have the same number of tokens: one inner chunk holds one sample."""
        return cls(level=level, dtype=dtype, tokens=tokens, width=width, tokens_per_chunk=tokens)

    @classmethod
    def ragged(cls, level: Level, dtype: DType, most: int, width: int) -> Self:
        """Samples have up to `most` tokens, in inner chunks of 128; absent chunks take no space."""
        chunk = TOKENS_PER_CHUNK * (PIXELS_PER_PATCH if level == "pixel" else 1)
        return cls(level=level, dtype=dtype, tokens=-(-most // chunk) * chunk, width=width, tokens_per_chunk=chunk)

    @property
    def chunks_per_sample(self) -> int:
        return self.tokens // self.tokens_per_chunk

    @property
    def chunk_bytes(self) -> int:
        """Bytes of an inner chunk, without its checksum."""
        return self.tokens_per_chunk * self.width * self.numpy_dtype.itemsize

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The numbers' type; bfloat16 is `ml_dtypes.bfloat16`."""
        return NUMPY_DTYPES[self.dtype]

    def dimension_names(self, name: str) -> list[str]:
        """Names under which `xarray` opens the whole cache as one dataset: equal names have equal sizes."""
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
    """In the order of computation, `pixels` last."""

    @property
    def digest(self) -> str:
        """SHA-256 of the fingerprint: the identity of the cache."""
        return digest(self.fingerprint)

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)

    def root_json(self) -> bytes:
        """`zarr.json` of the root group, with a digest over itself."""
        body = {
            "format": FORMAT_VERSION,
            "fingerprint": self.fingerprint,
            "fingerprint_sha256": self.digest,
            "samples_per_shard": self.samples_per_shard,
            "shards": [asdict(shard) for shard in self.shards],
            "points": [{"name": name, **asdict(point)} for name, point in self.points.items()],
        }
        attributes = {ATTRIBUTE: with_digest(body)}
        return canonical_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})

    @classmethod
    def from_root_json(cls, data: bytes, place: str) -> Self:
        """Raises `NotACache`, `UnsupportedFormat` and `CorruptCache`."""
        body = _root_body(data, place)
        try:
            root = JsonObject.of(body, "root", _ROOT_FIELDS)
            samples_per_shard = root.integer("samples_per_shard", 1)
            cache = cls(
                fingerprint=_fingerprint(root),
                samples_per_shard=samples_per_shard,
                shards=_shards(root, samples_per_shard),
                points=_points(root),
            )
            if root.digest("fingerprint_sha256") != cache.digest:
                raise ValueError("root.fingerprint_sha256 is not the digest of root.fingerprint")
        except ValueError as error:
            raise CorruptCache(
                f"{place}/{ROOT_KEY} was not written by 'foresight extract': {error}; extract into a new directory"
            ) from None
        return cache

    def array_json(self, name: str) -> bytes:
        """`zarr.json` of a point's array."""
        point = self.points[name]
        stored = STORED_TYPES[point.dtype]
        little = {} if stored == "uint8" else {"configuration": {"endian": "little"}}
        bytes_then_checksum = [{"name": "bytes", **little}, {"name": "crc32c"}]
        index_codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        return canonical_json(
            {
                "zarr_format": 3,
                "node_type": "array",
                "shape": [self.samples, point.tokens, point.width],
                "data_type": stored,
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [self.samples_per_shard, point.tokens, point.width]},
                },
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": 0,
                "codecs": [
                    {
                        "name": "sharding_indexed",
                        "configuration": {
                            "chunk_shape": [1, point.tokens_per_chunk, point.width],
                            "codecs": bytes_then_checksum,
                            "index_codecs": index_codecs,
                            "index_location": "end",
                        },
                    }
                ],
                "dimension_names": point.dimension_names(name),
                "attributes": {ATTRIBUTE: {"point": name, "level": point.level, "dtype": point.dtype}},
            }
        )


_ROOT_FIELDS = ("format", "fingerprint", "fingerprint_sha256", "samples_per_shard", "shards", "points")
_MOST_NUMBERS = 2**33
"""Numbers of one sample at one point: a hundred times those of the largest input of the largest model."""


def _fingerprint(root: JsonObject) -> dict[str, Any]:
    """Any fields, but those that every reader shows must be there."""
    fingerprint = root.inner("fingerprint")
    if is_deep(fingerprint.values):
        raise ValueError("root.fingerprint is nested without end")
    for section, names in {"model": ("name", "weights", "dtype"), "dataset": ("name",), "input": ("size",)}.items():
        for name in names:
            fingerprint.inner(section).text(name)
    model = fingerprint.inner("model")
    taps = model.items("taps") if "taps" in model.values else []
    for tap in taps:
        safe_point_name(tap, "root.fingerprint.model.taps")
    return dict(fingerprint.values)


def _shards(root: JsonObject, samples_per_shard: int) -> tuple[ShardSource, ...]:
    shards = []
    for number, value in enumerate(root.items("shards")):
        shard = JsonObject.of(value, f"root.shards[{number}]", ("name", "sha256", "samples"))
        last = number == len(root.items("shards")) - 1
        samples = shard.integer("samples", 1 if last else samples_per_shard, samples_per_shard)
        shards.append(ShardSource(name=shard.text("name"), sha256=shard.digest("sha256"), samples=samples))
    unique([shard.name for shard in shards], "root.shards")
    return tuple(shards)


def _points(root: JsonObject) -> dict[str, PointLayout]:
    points = {}
    for number, value in enumerate(root.items("points")):
        names = ("name", *(each.name for each in fields(PointLayout)))
        point = JsonObject.of(value, f"root.points[{number}]", names)
        name = point.point_name("name")
        width = point.integer("width", 1, _MOST_NUMBERS)
        tokens = point.integer("tokens", 1, _MOST_NUMBERS // width)
        tokens_per_chunk = point.integer("tokens_per_chunk", 1, tokens)
        if tokens % tokens_per_chunk:
            raise ValueError(f"root.points[{number}].tokens is not a whole number of chunks")
        points[name] = PointLayout(
            level=point.choice("level", LEVELS),
            dtype=point.choice("dtype", DTYPES),
            tokens=tokens,
            width=width,
            tokens_per_chunk=tokens_per_chunk,
        )
    if len(points) != len(root.items("points")):
        raise ValueError("root.points has a name twice")
    return points


SAMPLES_GROUP_JSON = canonical_json({"zarr_format": 3, "node_type": "group", "attributes": {}})


def with_digest(body: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the digest of its other fields under `sha256`."""
    return {**body, "sha256": digest(body)}


def checked_digest(record: Any, place: str) -> dict[str, Any]:
    """The record without its digest. Raises `CorruptCache` where the two do not agree."""
    if not isinstance(record, dict) or "sha256" not in record:
        raise CorruptCache(f"{place} carries no digest of itself; run 'foresight verify' on the cache")
    body = {name: value for name, value in record.items() if name != "sha256"}
    try:
        found = digest(body)
    except (ValueError, RecursionError):  # JSON that has no canonical form, such as NaN
        found = None
    if found != record["sha256"]:
        raise CorruptCache(f"{place} is not what was written: its digest does not match; run 'foresight verify'")
    return body


def _root_body(data: bytes, place: str) -> dict[str, Any]:
    record = parse_json(data, f"{place}/{ROOT_KEY}")
    attributes = record.get("attributes") if isinstance(record, dict) else None
    ours = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
    if not isinstance(ours, dict):
        raise NotACache(f"{place} is a Zarr store but no Foresight cache; expected one made by 'foresight extract'")
    version = ours.get("format")
    if version != FORMAT_VERSION:
        raise UnsupportedFormat(
            f"{place} has cache format {version!r}; this version of foresight-cache reads format {FORMAT_VERSION}; "
            "use the version that wrote it, or extract it again"
        )
    return checked_digest(ours, f"{place}/{ROOT_KEY}")


def parse_json(data: bytes, place: str) -> Any:
    """Raises `CorruptCache` where the bytes are not JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptCache(f"{place} is not JSON ({error}); run 'foresight verify' on the cache") from None
