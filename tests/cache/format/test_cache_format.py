"""The bytes on disk, judged by bare zarr and xarray; the reader, judged by bare zarr."""

import json
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import xarray
import zarr

from foresight_cache import open_cache
from foresight_cache.errors import BadSample, CorruptCache, NotACache, UnknownName, UnsupportedFormat
from foresight_cache.format.layout import PointLayout
from foresight_cache.verify import verify
from tests.support import planted


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    return tmp_path / "C"


@pytest.fixture
def ragged(tmp_path: Path) -> Path:
    points = {
        "vit.block_01": PointLayout.ragged("patch", "bfloat16", 300, 10),
        "pixels": PointLayout.ragged("pixel", "uint8", 300 * 196, 3),
    }
    planted.write(tmp_path / "R", planted.plan(points), ragged=True)
    return tmp_path / "R"


def test_bare_zarr_reads_what_was_written(fixed: Path) -> None:
    group = zarr.open_group(fixed, mode="r")
    for name, layout in planted.fixed_points().items():
        array = group[name]
        assert isinstance(array, zarr.Array)
        assert array.shape == (10, layout.tokens, layout.width)
        for slot in range(10):
            found = array[slot].view(ml_dtypes.bfloat16) if layout.dtype == "bfloat16" else array[slot]
            np.testing.assert_array_equal(found, planted.values(slot, layout.tokens, layout))


def test_bare_zarr_sees_the_checksums_and_one_object_per_shard(fixed: Path) -> None:
    array = zarr.open_array(fixed / "vit.block_01", mode="r")
    assert array.shards == (4, 24, 10)
    assert array.chunks == (1, 24, 10)
    assert "crc32c" in str(array.metadata.codecs).lower()
    assert sorted(path.name for path in (fixed / "vit.block_01" / "c").iterdir()) == ["0", "1", "2"]
    assert array.metadata.dimension_names == ("sample", "patch", "vision_channel")


def test_zarr_lists_the_group_without_a_warning(fixed: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(zarr.open_group(fixed, mode="r").array_keys()) == ["llm.layer_01", "pixels", "vit.block_01"]


def test_xarray_opens_the_cache_as_one_dataset(fixed: Path) -> None:
    dataset = xarray.open_zarr(fixed, consolidated=False, chunks=None)
    bits = dataset["vit.block_01"][3].values
    layout = planted.fixed_points()["vit.block_01"]
    np.testing.assert_array_equal(bits.view(ml_dtypes.bfloat16), planted.values(3, 24, layout))


@pytest.mark.parametrize("name", list(planted.fixed_points()))
def test_reader_agrees_with_zarr(fixed: Path, name: str) -> None:
    point = open_cache(fixed)[name]
    array = zarr.open_array(fixed / name, mode="r")
    for slot in (0, 3, 4, 9, -1):
        stored = array[slot].view(point.dtype)
        np.testing.assert_array_equal(point.stored(slot), stored)
        assert point[slot].dtype == (np.uint8 if name == "pixels" else np.float32)
        np.testing.assert_array_equal(point[slot], stored.astype(np.float32))


def test_ragged_samples_have_their_own_tokens_and_zarr_agrees(ragged: Path) -> None:
    cache = open_cache(ragged)
    point = cache["vit.block_01"]
    array = zarr.open_array(ragged / "vit.block_01", mode="r")
    assert array.chunks == (1, 128, 10)
    for slot in range(10):
        height, width = 2 * (2 + slot % 3), 2 * (5 - slot % 2)
        assert point.grid(slot).shape == (1, height, width, 10)
        np.testing.assert_array_equal(point.stored(slot), array[slot][: height * width].view(point.dtype))
        assert not array[slot][height * width :].any()
    assert (ragged / "vit.block_01/c/0/0/0").stat().st_size < 4 * 128 * 10 * 2 + 4096, "absent chunks take no space"


def test_a_token_longer_than_one_chunk_is_put_together(tmp_path: Path) -> None:
    layout = PointLayout.ragged("pixel", "uint8", 60_000, 3)
    planted.write(tmp_path / "C", planted.plan({"pixels": layout}, samples=2), ragged=True)
    point = open_cache(tmp_path / "C")["pixels"]
    np.testing.assert_array_equal(point.stored(1), planted.values(1, 3 * 4 * 784, layout))
    assert layout.tokens_per_chunk == 25_088
    assert layout.tokens == 3 * 25_088


def test_grid_is_raster_order(fixed: Path) -> None:
    point = open_cache(fixed)["vit.block_01"]
    flat, grid = point[2], point.grid(2)
    assert grid.shape == (1, 4, 6, 10)
    np.testing.assert_array_equal(grid[0, 3, 1], flat[3 * 6 + 1])


def test_torch_gives_the_stored_type(fixed: Path) -> None:
    import torch

    tensor = open_cache(fixed)["vit.block_01"].torch([7, 9])
    assert tensor.dtype == torch.bfloat16
    assert tensor.shape == (2, 24, 10)
    np.testing.assert_array_equal(tensor[1].float().numpy(), open_cache(fixed)["vit.block_01"][9])


def test_to_xarray_is_labelled_and_lazy(fixed: Path) -> None:
    array = open_cache(fixed)["vit.block_01"].to_xarray()
    assert array.dims == ("sample", "t", "y", "x", "channel")
    expected = open_cache(fixed)["vit.block_01"][5]
    np.testing.assert_array_equal(array.sel(sample="planted/train/0005").values.reshape(24, 10), expected)
    np.testing.assert_array_equal(array[2:6, 0, 1, 1, ::2].values[3], expected[7, ::2])
    np.testing.assert_array_equal(array[5].sel(t=0, y=2, x=3), expected[2 * 6 + 3])


def test_to_xarray_reads_nothing_until_asked(fixed: Path) -> None:
    array = open_cache(fixed)["vit.block_01"].to_xarray()
    (fixed / "vit.block_01/c/1/0/0").unlink()
    assert array[0].values.shape == (1, 4, 6, 10)
    with pytest.raises(CorruptCache, match="missing"):
        _ = array[4].values


def test_samples_table(fixed: Path) -> None:
    samples = open_cache(fixed).samples
    assert list(samples["id"]) == [f"planted/train/{slot:04d}" for slot in range(10)]
    assert list(samples["slot"]) == list(range(10))
    assert samples["annotations"][3]["objects"][0]["category"] == "disc"
    assert set(samples["status"]) == {"ok"}


def test_a_quarantined_sample_is_listed_and_not_read(tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()), bad=(2, 9))
    cache = open_cache(tmp_path / "C")
    assert list(cache.samples.query("status == 'bad'")["slot"]) == [2, 9]
    assert cache.samples["reason"][2] == "truncated"
    with pytest.raises(BadSample, match="planted/train/0002 is quarantined: truncated"):
        cache["vit.block_01"][2]
    assert len(list(cache["vit.block_01"].each(bad="skip"))) == 8
    strict = iter(cache["vit.block_01"])
    np.testing.assert_array_equal([next(strict), next(strict)], [cache["vit.block_01"][0], cache["vit.block_01"][1]])
    with pytest.raises(BadSample, match="planted/train/0002 is quarantined: truncated"):
        next(strict)
    assert np.isnan(cache["vit.block_01"].to_xarray()[2].values).all()
    assert verify(cache) == []


def test_only_committed_shards_are_seen(fixed: Path) -> None:
    (fixed / "samples/000001.json").unlink()
    cache = open_cache(fixed)
    assert len(cache) == 6
    assert not cache.complete
    assert list(cache.samples["slot"]) == [0, 1, 2, 3, 8, 9]
    layout = planted.fixed_points()["llm.layer_01"]
    np.testing.assert_array_equal(cache["llm.layer_01"][4], planted.values(8, 6, layout))


def test_a_point_is_seen_once_all_shards_have_it(tmp_path: Path) -> None:
    few = {"vit.block_01": planted.fixed_points()["vit.block_01"]}
    planted.write(tmp_path / "C", planted.plan(few))
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    planted.write(tmp_path / "whole", planted.plan(planted.fixed_points()))
    assert open_cache(tmp_path / "C").points == ("vit.block_01", "llm.layer_01", "pixels")
    assert contents(tmp_path / "C") == contents(tmp_path / "whole"), "the way to a cache leaves no trace in it"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_it_shows_itself(fixed: Path) -> None:
    cache = open_cache(fixed)
    text = repr(cache)
    assert "10 of 10" in text
    assert "vit.block_01  (10, 24, 10) bfloat16" in text
    assert cache.digest in text
    assert "<td>vit.block_01</td>" in cache._repr_html_()


def test_unknown_point_offers_the_nearest(fixed: Path) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'vit\.block_01'"):
        open_cache(fixed)["vit.block_1"]


def test_aliases_are_fractions_of_the_models_depth_not_of_the_caches(fixed: Path) -> None:
    assert open_cache(fixed).select(["E7", "E3", "pixels"]) == ("vit.block_01", "llm.layer_01", "pixels")
    with pytest.raises(UnknownName, match="unknown point of this cache 'E8'"):
        open_cache(fixed).select(["E8"])


def test_index_past_the_end(fixed: Path) -> None:
    with pytest.raises(IndexError, match="sample 10 of 10"):
        open_cache(fixed)["vit.block_01"][10]


class TestWhatIsNoCache:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotACache, match=r"holds no cache: it has no zarr\.json"):
            open_cache(tmp_path / "absent")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(NotACache):
            open_cache(tmp_path / "file")

    def test_a_foreign_zarr_store(self, tmp_path: Path) -> None:
        zarr.create_group(tmp_path / "Z")
        with pytest.raises(NotACache, match="Zarr store but not a Foresight cache"):
            open_cache(tmp_path / "Z")

    def test_a_newer_format(self, fixed: Path) -> None:
        root = json.loads((fixed / "zarr.json").read_text())
        root["attributes"]["foresight"]["format"] = 3
        (fixed / "zarr.json").write_text(json.dumps(root))
        with pytest.raises(UnsupportedFormat, match="has cache format 3"):
            open_cache(fixed)


class TestDamage:
    def test_a_flipped_byte_is_never_read_as_good(self, fixed: Path) -> None:
        path = fixed / "llm.layer_01/c/0/0/0"
        data = bytearray(path.read_bytes())
        data[2 * (6 * 12 * 4 + 4) + 17] ^= 1
        path.write_bytes(data)
        point = open_cache(fixed)["llm.layer_01"]
        assert point[1].shape == (6, 12)
        with pytest.raises(CorruptCache, match="chunk 2 of .*llm.layer_01/c/0/0/0 fails its checksum"):
            point[2]
        findings = verify(open_cache(fixed))
        assert [finding.place for finding in findings] == ["llm.layer_01/c/0/0/0"] * 2
        assert "planted/train/0002" in findings[1].problem

    def test_a_missing_object_is_never_read_as_zeros(self, fixed: Path) -> None:
        (fixed / "pixels/c/1/0/0").unlink()
        with pytest.raises(CorruptCache, match="missing although its shard is committed"):
            open_cache(fixed)["pixels"][5]
        assert [finding.place for finding in verify(open_cache(fixed))] == ["pixels/c/1/0/0"]

    def test_a_truncated_object(self, fixed: Path) -> None:
        path = fixed / "pixels/c/1/0/0"
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(CorruptCache, match=r"has \d+ bytes, \d+ were committed"):
            open_cache(fixed)["pixels"][5]
        assert len(verify(open_cache(fixed))) == 1

    def test_verify_lists_all_that_is_wrong(self, fixed: Path) -> None:
        (fixed / "pixels/c/1/0/0").unlink()
        (fixed / "llm.layer_01/zarr.json").unlink()
        (fixed / "samples/000002.json").write_text("{}")
        places = {finding.place for finding in verify_without_reading(fixed)}
        assert places == {"pixels/c/1/0/0", "llm.layer_01/zarr.json", "samples/000002.json"}

    def test_every_flipped_bit_of_the_metadata_is_found(self, fixed: Path) -> None:
        generator = np.random.default_rng(0)
        for key in ("zarr.json", "pixels/zarr.json", "samples/zarr.json", "samples/000000.json"):
            path = fixed / key
            whole = path.read_bytes()
            for bit in generator.integers(0, 8 * len(whole), 60):
                data = bytearray(whole)
                data[bit // 8] ^= 1 << bit % 8
                path.write_bytes(data)
                assert verify_without_reading(fixed), f"bit {bit} of {key}"
            path.write_bytes(whole)
        assert verify_without_reading(fixed) == []


def verify_without_reading(root: Path) -> list[object]:
    """Verification as the command does it: what keeps a cache from opening counts as a finding."""
    try:
        return list(verify(open_cache(root)))
    except (CorruptCache, NotACache, UnsupportedFormat) as error:
        return [error]
