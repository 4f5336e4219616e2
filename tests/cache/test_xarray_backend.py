"""`xr.open_dataset(CACHE, engine="foresight")`: the same numbers as ours, labelled, lazy, no zeros for missing ones."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from foresight_cache import open_cache
from foresight_cache.errors import CacheError, CorruptCache, NotACache, UnknownName, UnsupportedFormat, UsageError
from foresight_cache.xarray_backend import ForesightBackend
from tests.support import planted
from tests.support.damaged_objects import DAMAGE, damage
from tests.support.golden_caches import CACHES, each_cache, expected

FIXED, RAGGED = planted.points_of_every_type(), planted.points_of_every_type(ragged=True)
BAD = 2


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """Three shards of 4, 4 and 2 samples, of which sample 2 is quarantined."""
    planted.write(tmp_path / "C", planted.plan(FIXED), bad=(BAD,))
    return tmp_path / "C"


@pytest.fixture
def ragged(tmp_path: Path) -> Path:
    planted.write(tmp_path / "R", planted.plan(RAGGED), ragged=True, bad=(BAD,))
    return tmp_path / "R"


def opened(root: Path, **options: Any) -> xr.Dataset:
    return xr.open_dataset(root, engine="foresight", **options)


def test_xarray_finds_the_engine_where_the_package_is_installed() -> None:
    """Where this alone fails, the package was installed before it had the engine: install it again."""
    engine = xr.backends.list_engines()["foresight"]
    assert isinstance(engine, ForesightBackend)
    assert "Opens a cache of features" in repr(engine)


class TestValues:
    @pytest.mark.parametrize("name", FIXED)
    def test_of_samples_of_one_size(self, fixed: Path, name: str) -> None:
        variable = opened(fixed)[name]
        layout = FIXED[name]
        assert variable.dtype == np.float32
        assert variable.attrs["stored_type"] == layout.dtype
        for index in range(10):
            if index == BAD:
                assert np.isnan(variable[index]).all()
                continue
            wanted = planted.values(index, layout.tokens, layout).astype(np.float32)
            np.testing.assert_array_equal(variable[index], wanted)
            np.testing.assert_array_equal(variable[index], open_cache(fixed)[name][index])

    @pytest.mark.parametrize("name", RAGGED)
    def test_of_samples_that_differ_in_size(self, ragged: Path, name: str) -> None:
        dataset, layout = opened(ragged), RAGGED[name]
        counts = dataset[f"{layout.level}_tokens"].values
        assert counts[BAD] == 0
        for index in range(10):
            count = counts[index]
            tokens = dataset[name][index].values
            assert np.isnan(tokens[count:]).all(), "tokens that the sample does not have"
            if index != BAD:
                assert count == planted.grids(index, ragged=True)[layout.level].tokens
                wanted = planted.values(index, count, layout).astype(np.float32)
                np.testing.assert_array_equal(tokens[:count], wanted)
                np.testing.assert_array_equal(tokens[:count], open_cache(ragged)[name][index])

    @each_cache
    def test_of_the_golden_caches(self, root: Path) -> None:
        samples, arrays = expected(root)
        dataset = opened(root)
        assert tuple(dataset.data_vars) == open_cache(root).arrays
        assert list(dataset["sample"].values) == [sample["id"] for sample in samples]
        assert list(dataset["status"].values) == [sample["status"] for sample in samples]
        for name in dataset.data_vars:
            for slot, sample in enumerate(samples):
                tokens = dataset[name][slot].values
                if sample["status"] == "ok":
                    wanted = arrays[str(name)][slot]
                    np.testing.assert_array_equal(tokens[: len(wanted)], wanted)
                    tokens = tokens[len(wanted) :]
                assert np.isnan(tokens).all()

    def test_they_are_numbers_and_not_the_bits_of_bfloat16(self, fixed: Path) -> None:
        bits = xr.open_zarr(fixed, consolidated=False, chunks=None)["vit.block_01"]
        assert bits.dtype == np.uint16
        assert opened(fixed)["vit.block_01"].dtype == np.float32


class TestLabels:
    def test_dimensions_are_those_of_the_format(self, fixed: Path) -> None:
        dataset = opened(fixed)
        for name, layout in FIXED.items():
            assert list(dataset[name].dims) == layout.dimension_names(name)
        assert dict(dataset.sizes) == {
            "sample": 10,
            **{"patch": 24, "vision_channel": 10, "merged": 6, "language_channel": 12, "pixel": 4704, "rgb": 3},
        }

    def test_a_token_is_found_by_its_row_and_column(self, fixed: Path) -> None:
        dataset = opened(fixed)
        there = (dataset["patch_y"] == 3) & (dataset["patch_x"] == 1)
        token = dataset["vit.block_01"].sel(sample="planted/train/0005").where(there, drop=True)
        np.testing.assert_array_equal(token.values[0], open_cache(fixed)["vit.block_01"].grid(5)[0, 3, 1])
        assert list(dataset["merged_x"].values) == [0, 1, 2, 0, 1, 2]

    def test_one_vector_per_sample_lies_nowhere(self) -> None:
        dataset = opened(CACHES[0], points="vit.post_merge@mean")
        assert dataset["vit.post_merge@mean"].dims == ("sample", "pooled", "language_channel")
        assert set(dataset.coords) == {"sample", "split", "status"}

    def test_samples_of_several_sizes_have_counts_and_no_rows(self, ragged: Path) -> None:
        assert set(opened(ragged).coords) == {
            *("sample", "split", "status", "patch_tokens", "merged_tokens", "pixel_tokens")
        }

    def test_attributes_say_where_it_comes_from(self, fixed: Path) -> None:
        cache, attributes = open_cache(fixed), opened(fixed).attrs
        assert attributes["fingerprint"] == cache.digest
        assert json.loads(attributes["fingerprint_fields"]) == cache.fingerprint
        assert (attributes["model"], attributes["dataset"], attributes["input_size"]) == ("planted", "planted", "56x84")
        assert attributes["foresight_format"] == 1


class TestOptions:
    def test_points(self, fixed: Path) -> None:
        assert list(opened(fixed, points="pixels").data_vars) == ["pixels"]
        assert list(opened(fixed, points="E7, vit.*").data_vars) == ["vit.block_01", "vit.block_02", "llm.layer_01"]
        assert list(opened(fixed, points=["pixels", "E7", "pixels"]).data_vars) == ["llm.layer_01", "pixels"]
        assert "patch" not in opened(fixed, points="E7").sizes

    def test_labels_are_no_point_and_come_by_their_name(self) -> None:
        assert list(opened(CACHES[0], points="labels").data_vars) == ["labels"]
        assert "labels" in opened(CACHES[0])

    @pytest.mark.parametrize("points", [[], 7, [7], {"E4": 1}], ids=str)
    def test_what_is_no_list_of_points(self, fixed: Path, points: Any) -> None:
        with pytest.raises(UsageError, match=r"points is .*, expected names such as \['vit\.block_08', 'E4'\]"):
            opened(fixed, points=points)

    @pytest.mark.parametrize("points", ["", "E7,,pixels", ["vit.block_9"]], ids=str)
    def test_unknown_points(self, fixed: Path, points: Any) -> None:
        with pytest.raises(UnknownName, match="unknown extraction point"):
            opened(fixed, points=points)

    def test_a_point_that_only_some_shards_have(self) -> None:
        assert "llm.layer_01" not in opened(CACHES[1])
        with pytest.raises(UnknownName, match=r"unknown point of this cache 'llm\.layer_01'"):
            opened(CACHES[1], points=["llm.layer_01"])

    def test_variables_that_are_dropped(self, fixed: Path) -> None:
        dataset = opened(fixed, drop_variables=["pixels", "patch_y", "no such variable"])
        assert "pixels" not in dataset
        assert "patch_y" not in dataset
        assert "patch_x" in dataset
        assert "pixels" not in opened(fixed, drop_variables="pixels")


class TestLaziness:
    def test_nothing_is_read_until_it_is_asked_for(self, fixed: Path) -> None:
        damage(fixed, "missing")
        dataset = opened(fixed)
        np.testing.assert_array_equal(dataset["llm.layer_01"][9], open_cache(fixed)["llm.layer_01"][9])
        with pytest.raises(CorruptCache, match="missing although its shard is committed"):
            dataset["llm.layer_01"][4].load()

    def test_no_torch_is_loaded(self, fixed: Path) -> None:
        code = (
            f"import sys, xarray as xr; d = xr.open_dataset({str(fixed)!r}, engine='foresight'); "
            "d['vit.block_01'][0].values; print('xarray' in sys.modules, 'torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["True", "False"]

    def test_another_process_gets_the_same(self, fixed: Path) -> None:
        """As dask and data loaders ask for; the chunks of `chunks={}` are the shards."""
        variable = opened(fixed)["vit.block_01"]
        again = pickle.loads(pickle.dumps(variable))  # noqa: S301 - its own bytes
        assert again.identical(variable)
        assert variable.encoding["preferred_chunks"] == {"sample": 4}


class TestRefusals:
    def test_a_shard_without_a_commit(self, fixed: Path) -> None:
        (fixed / "samples/000001.json").unlink()
        with pytest.raises(CacheError, match="C has 2 of 3 shards committed, and the others would read as zeros"):
            opened(fixed)

    @pytest.mark.parametrize("kind", DAMAGE)
    def test_a_damaged_object(self, fixed: Path, kind: str) -> None:
        damage(fixed, kind)
        with pytest.raises(CorruptCache, match=DAMAGE[kind][1]):
            opened(fixed)["llm.layer_01"][5].load()
        with pytest.raises(CorruptCache, match=DAMAGE[kind][1]):
            opened(fixed).load()

    def test_damaged_records(self, fixed: Path) -> None:
        for key in ("samples/000001.json", "zarr.json"):
            path = fixed / key
            path.write_text(path.read_text().replace("planted", "plantex"))
            with pytest.raises(CorruptCache, match=key):
                opened(fixed)

    def test_what_is_no_cache(self, tmp_path: Path) -> None:
        with pytest.raises(NotACache, match="holds no cache"):
            opened(tmp_path)
        with pytest.raises(UsageError, match="is not the path or URL of a cache"):
            xr.open_dataset(b"bytes", engine="foresight")  # type: ignore[call-overload]

    def test_another_format(self, fixed: Path) -> None:
        path = fixed / "zarr.json"
        path.write_text(path.read_text().replace('"format":1', '"format":3'))
        with pytest.raises(UnsupportedFormat, match="has cache format 3"):
            opened(fixed)


class TestGuess:
    def test_a_cache_opens_without_the_name_of_the_engine(self, fixed: Path) -> None:
        assert xr.open_dataset(fixed).identical(opened(fixed))
        assert xr.open_dataset(str(fixed)).identical(opened(fixed))

    def test_what_is_ours(self, fixed: Path, tmp_path: Path) -> None:
        guess = ForesightBackend().guess_can_open
        assert guess(fixed)
        assert not guess(tmp_path / "absent")
        assert not guess("s3://features/C"), "no guess asks a network"
        assert not guess(b"bytes")
        (fixed / "zarr.json").write_text((fixed / "zarr.json").read_text().replace("planted", "plantex"))
        assert guess(fixed), "so that the damage is said, and not that no engine knows it"
