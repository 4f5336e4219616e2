"""The metadata of arrays and groups, field by field, against what zarr itself writes for the same arrays."""

import json
from typing import Any

import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.storage import MemoryStore

from foresight_cache.format.layout import DTYPES, STORED_TYPES, CacheLayout, DType, PointLayout
from foresight_cache.format.metadata import metadata
from tests.support import planted

POINTS = {
    "fixed": lambda dtype: {"vit.block_01": PointLayout.fixed("patch", dtype, 24, 10)},
    "ragged": lambda dtype: {"llm.layer_01": PointLayout.ragged("merged", dtype, 300, 12)},
    "pooled": lambda dtype: {"vit.post_merge@mean": PointLayout.fixed("pooled", dtype, 1, 12)},
    "pixels": lambda dtype: {"pixels": PointLayout.ragged("pixel", dtype, 60_000, 3)},
}
each_array = pytest.mark.parametrize(
    ("shape", "dtype"), [(shape, dtype) for shape in POINTS for dtype in DTYPES], ids=lambda value: value
)


def planned(shape: str, dtype: DType) -> tuple[CacheLayout, str]:
    plan = planted.plan(POINTS[shape](dtype))
    return plan, next(iter(plan.points))


def written_by_zarr(plan: CacheLayout, name: str) -> dict[str, Any]:
    """Returns the metadata of the array as zarr creates it, from its size, type and codecs alone."""
    point = plan.points[name]
    store = MemoryStore()
    zarr.create_array(
        store,
        name=name,
        shape=(plan.samples, point.tokens, point.width),
        shards=(plan.samples_per_shard, point.tokens, point.width),
        chunks=(1, point.tokens_per_chunk, point.width),
        dtype=STORED_TYPES[point.dtype],
        serializer=BytesCodec() if point.dtype == "uint8" else BytesCodec(endian="little"),
        compressors=Crc32cCodec(),
        fill_value=0,
        dimension_names=point.dimension_names(name),
        attributes={"foresight": {"point": name, "level": point.level, "dtype": point.dtype}},
    )
    return parsed(store, f"{name}/zarr.json")


def parsed(store: MemoryStore, key: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(store._store_dict[key].to_bytes())
    return record


@each_array
def test_arrays_have_the_metadata_that_zarr_writes(shape: str, dtype: DType) -> None:
    plan, name = planned(shape, dtype)
    ours, theirs = json.loads(metadata(plan)[f"{name}/zarr.json"]), written_by_zarr(plan, name)
    assert theirs.pop("storage_transformers", []) == [], "which the specification lets a writer leave out"
    assert ours.keys() == theirs.keys()
    for field, value in theirs.items():
        assert ours[field] == value, field


@each_array
def test_zarr_reads_the_metadata_and_gives_the_same_back(shape: str, dtype: DType) -> None:
    plan, name = planned(shape, dtype)
    ours = json.loads(metadata(plan)[f"{name}/zarr.json"])
    theirs = json.loads(json.dumps(ArrayV3Metadata.from_dict(ours).to_dict()))
    theirs.pop("storage_transformers", None)
    assert theirs == ours, "to JSON, the fill values 0 and 0.0 are one number"


def test_groups_have_the_metadata_that_zarr_writes() -> None:
    plan, _ = planned("fixed", "bfloat16")
    files = metadata(plan)
    store = MemoryStore()
    root = json.loads(files["zarr.json"])
    zarr.create_group(store, attributes=root["attributes"]).create_group("samples")
    assert parsed(store, "zarr.json") == root
    assert parsed(store, "samples/zarr.json") == json.loads(files["samples/zarr.json"])
