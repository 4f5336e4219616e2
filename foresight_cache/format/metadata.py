"""The Zarr metadata of a cache: the bytes of each `zarr.json`, and the root read back and checked.

They are spelled here and not by zarr's own classes, which write the fill value of floats as 0.0 and an empty list of
`storage_transformers`, and may write otherwise in their next version; a test holds each field to what zarr writes.
"""

from dataclasses import asdict, fields
from typing import Any

from foresight_cache.errors import CorruptCache, NotACache, UnsupportedFormat
from foresight_cache.format.codecs import CODECS, MOST_BYTES, CodecName
from foresight_cache.format.layout import (
    ATTRIBUTE,
    DTYPES,
    FORMATS,
    LEVELS,
    ROOT_KEY,
    SAMPLES,
    STORED_TYPES,
    CacheLayout,
    PointLayout,
    ShardSource,
    metadata_key,
)
from foresight_cache.records import (
    JsonObject,
    canonical_json,
    checked_digest,
    is_deep,
    parse_json,
    safe_point_name,
    shown,
    unique,
    with_digest,
)

_ROOT_FIELDS = ("format", "fingerprint", "fingerprint_sha256", "samples_per_shard", "shards", "points")
_FIELDS = ("name", *(field.name for field in fields(PointLayout)))
_POINT_FIELDS = {1: tuple(name for name in _FIELDS if name != "codec"), 2: _FIELDS}
"""Fields of a point by format."""
_NEEDED = {"model": ("name", "weights", "dtype"), "dataset": ("name",), "input": ("size",)}
"""Fields of a fingerprint that every reader shows, by section."""
_MOST_NUMBERS = 2**33
"""Numbers of one sample at one point: a hundred times those of the largest input of the largest model."""


def metadata(cache: CacheLayout) -> dict[str, bytes]:
    """Returns all metadata by key, a pure function of the layout; the root comes first, as it marks the directory."""
    return {
        ROOT_KEY: _root_json(cache),
        metadata_key(SAMPLES): canonical_json({"zarr_format": 3, "node_type": "group", "attributes": {}}),
        **{metadata_key(point): _array_json(cache, point) for point in cache.points},
    }


def read_root(data: bytes, place: str) -> CacheLayout:
    """Returns the layout of the cache at `place` from the bytes of its root.

    Raises `NotACache`, `UnsupportedFormat` and `CorruptCache`.
    """
    body = _root_body(data, place)
    try:
        root = JsonObject.of(body, "root", _ROOT_FIELDS)
        samples_per_shard = root.integer("samples_per_shard", 1)
        cache = CacheLayout(
            fingerprint=_fingerprint(root),
            samples_per_shard=samples_per_shard,
            shards=_shards(root, samples_per_shard),
            points=_points(root, place),
        )
        if cache.format != root.values["format"]:
            raise ValueError("root.format is 2 and no point has a codec")
        if root.digest("fingerprint_sha256") != cache.digest:
            raise ValueError("root.fingerprint_sha256 is not the digest of root.fingerprint")
    except ValueError as error:
        raise CorruptCache(
            f"{place}/{ROOT_KEY} was not written by 'foresight extract': {error}; extract into a new directory"
        ) from None
    return cache


def _root_json(cache: CacheLayout) -> bytes:
    """Returns the root group's metadata, with a digest over what is ours."""
    body = {
        "format": cache.format,
        "fingerprint": cache.fingerprint,
        "fingerprint_sha256": cache.digest,
        "samples_per_shard": cache.samples_per_shard,
        "shards": [asdict(shard) for shard in cache.shards],
        "points": [_point_json(name, point, cache.format) for name, point in cache.points.items()],
    }
    attributes = {ATTRIBUTE: with_digest(body)}
    return canonical_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})


def _point_json(name: str, point: PointLayout, version: int) -> dict[str, Any]:
    values = {"name": name, **asdict(point)}
    return {field: values[field] for field in _POINT_FIELDS[version]}


def _array_json(cache: CacheLayout, name: str) -> bytes:
    """Returns the metadata of a point's array."""
    point = cache.points[name]
    stored = STORED_TYPES[point.dtype]
    little = {} if stored == "uint8" else {"configuration": {"endian": "little"}}
    chunk_codecs = [{"name": "bytes", **little}, *point.chunk_codec.zarr(), {"name": "crc32c"}]
    index_codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    return canonical_json(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [cache.samples, point.tokens, point.width],
            "data_type": stored,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [cache.samples_per_shard, point.tokens, point.width]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": [1, point.tokens_per_chunk, point.width],
                        "codecs": chunk_codecs,
                        "index_codecs": index_codecs,
                        "index_location": "end",
                    },
                }
            ],
            "dimension_names": point.dimension_names(name),
            "attributes": {ATTRIBUTE: {"point": name, "level": point.level, "dtype": point.dtype}},
        }
    )


def _root_body(data: bytes, place: str) -> dict[str, Any]:
    try:
        record = parse_json(data)
        attributes = record.get("attributes") if isinstance(record, dict) else None
        ours = attributes.get(ATTRIBUTE) if isinstance(attributes, dict) else None
        if not isinstance(ours, dict):
            raise NotACache(
                f"{place} is a Zarr store but not a Foresight cache; expected one made by 'foresight extract'"
            )
        version = ours.get("format")
        if type(version) is not int or version not in FORMATS:
            raise UnsupportedFormat(
                f"{place} has cache format {version!r}; this version of foresight-cache reads formats "
                f"{' and '.join(map(str, FORMATS))}; use the version that wrote it, or extract it again"
            )
        return checked_digest(ours)
    except ValueError as error:
        raise CorruptCache(f"{place}/{ROOT_KEY} {error}; run 'foresight verify' on the cache") from None


def _fingerprint(root: JsonObject) -> dict[str, Any]:
    """Returns the fingerprint, whose fields are free but for those that every reader shows."""
    fingerprint = root.inner("fingerprint")
    if is_deep(fingerprint.values):
        raise ValueError("root.fingerprint is nested too deeply")
    for section, names in _NEEDED.items():
        for name in names:
            fingerprint.inner(section).text(name)
    model = fingerprint.inner("model")
    for tap in model.items("taps") if "taps" in model.values else []:
        safe_point_name(tap, "root.fingerprint.model.taps")
    return dict(fingerprint.values)


def _shards(root: JsonObject, samples_per_shard: int) -> tuple[ShardSource, ...]:
    """Returns the shards, all of which but the last are full."""
    entries = root.objects("shards", ("name", "sha256", "samples"))
    shards = tuple(
        ShardSource(
            name=shard.text("name"),
            sha256=shard.digest("sha256"),
            samples=shard.integer("samples", 1 if shard is entries[-1] else samples_per_shard, samples_per_shard),
        )
        for shard in entries
    )
    unique([shard.name for shard in shards], "root.shards")
    return shards


def _points(root: JsonObject, place: str) -> dict[str, PointLayout]:
    entries = root.objects("points", _POINT_FIELDS[root.values["format"]])
    points = {point.point_name("name"): _point(point, place) for point in entries}
    if len(points) != len(root.items("points")):
        raise ValueError("root.points has a name twice")
    return points


def _point(point: JsonObject, place: str) -> PointLayout:
    width = point.integer("width", 1, _MOST_NUMBERS)
    tokens = point.integer("tokens", 1, _MOST_NUMBERS // width)
    tokens_per_chunk = point.integer("tokens_per_chunk", 1, tokens)
    if tokens % tokens_per_chunk:
        raise ValueError(f"{point.path}.tokens is {tokens}, expected a whole number of chunks of {tokens_per_chunk}")
    layout = PointLayout(
        level=point.choice("level", LEVELS),
        dtype=point.choice("dtype", DTYPES),
        tokens=tokens,
        width=width,
        tokens_per_chunk=tokens_per_chunk,
        codec=_codec(point, place),
    )
    if layout.codec != "none" and layout.chunk_bytes > MOST_BYTES:
        raise ValueError(f"{point.path} has chunks of {layout.chunk_bytes} bytes, too many for its codec")
    return layout


def _codec(point: JsonObject, place: str) -> CodecName:
    """Returns the codec of a point. Raises `UnsupportedFormat` for one that this version does not know."""
    if "codec" not in point.values:  # format 1
        return "none"
    name = point.text("codec")
    for known in CODECS:
        if name == known:
            return known
    raise UnsupportedFormat(
        f"{place} has the codec {shown(name)} at the point {shown(point.values['name'])}, and this version of "
        f"foresight-cache reads {', '.join(CODECS)}; use the version that wrote it, also to 'foresight recode' it"
    )
