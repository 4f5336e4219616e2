"""`cache.zarr` and `point.zarr`: the same values as ours, read-only, and never zeros for what is missing."""

import asyncio
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype

from foresight_cache import Cache, open_cache
from foresight_cache.errors import BadSample, CacheError, CorruptCache, UnknownName
from foresight_cache.zarr_view import CommittedStore
from tests.support import planted
from tests.support.damaged_objects import DAMAGE, damage, flipped
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


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def tokens_of(cache: Cache, name: str, index: int) -> np.ndarray:
    """Returns what Zarr's view holds of a sample [N, D], bfloat16 as itself."""
    stored = np.asarray(cache[name].zarr[index])
    return stored.view(cache[name].dtype) if cache[name].layout.dtype == "bfloat16" else stored


class TestValues:
    @pytest.mark.parametrize("name", FIXED)
    def test_of_samples_of_one_size(self, fixed: Path, name: str) -> None:
        cache = open_cache(fixed)
        assert isinstance(cache[name].zarr, zarr.Array)
        assert cache[name].zarr.shape == cache[name].shape
        layout = FIXED[name]
        for index in range(10):
            if index != BAD:
                tokens = tokens_of(cache, name, index)
                np.testing.assert_array_equal(tokens, planted.values(index, layout.tokens, layout))
                np.testing.assert_array_equal(tokens, cache[name].stored(index))
                np.testing.assert_array_equal(tokens.astype(np.float32), cache[name][index])

    @pytest.mark.parametrize("name", RAGGED)
    def test_of_samples_that_differ_in_size(self, ragged: Path, name: str) -> None:
        cache = open_cache(ragged)
        for index in range(10):
            if index != BAD:
                tokens = tokens_of(cache, name, index)
                count = planted.grids(index, ragged=True)[RAGGED[name].level].tokens
                np.testing.assert_array_equal(tokens[:count], planted.values(index, count, RAGGED[name]))
                np.testing.assert_array_equal(tokens[:count], cache[name].stored(index))
                assert not tokens[count:].any(), "tokens that the sample does not have"

    @each_cache
    def test_of_the_golden_caches(self, root: Path) -> None:
        samples, arrays = expected(root)
        cache = open_cache(root)
        assert set(cache.zarr.array_keys()) == set(cache.arrays)
        for name in cache.arrays:
            for slot, sample in enumerate(samples):
                if sample["status"] == "ok":
                    tokens = tokens_of(cache, name, slot).astype(np.float32)
                    np.testing.assert_array_equal(tokens[: len(arrays[name][slot])], arrays[name][slot])

    def test_of_a_whole_array_and_of_parts(self, fixed: Path) -> None:
        array = open_cache(fixed)["llm.layer_01"].zarr
        bare = zarr.open_array(fixed / "llm.layer_01", mode="r")
        np.testing.assert_array_equal(array[:], bare[:])
        np.testing.assert_array_equal(array[3:9, 1::2, -1], bare[3:9, 1::2, -1])
        np.testing.assert_array_equal(array.oindex[[9, 0, 5], :2], bare.oindex[[9, 0, 5], :2])

    def test_a_quarantined_sample_is_zeros_here_and_refused_there(self, fixed: Path) -> None:
        cache = open_cache(fixed)
        assert cache.samples["status"][BAD] == "bad"
        assert not np.asarray(cache["llm.layer_01"].zarr[BAD]).any()
        with pytest.raises(BadSample):
            cache["llm.layer_01"][BAD]


class TestGroup:
    def test_it_has_the_attributes_and_the_arrays(self, fixed: Path) -> None:
        group = open_cache(fixed).zarr
        assert isinstance(group, zarr.Group)
        assert sorted(group.array_keys()) == sorted(FIXED)
        assert list(group.group_keys()) == ["samples"]
        assert group.attrs["foresight"] == json.loads((fixed / "zarr.json").read_text())["attributes"]["foresight"]
        assert group["pixels"].metadata.dimension_names == ("sample", "pixel", "rgb")
        with pytest.raises(KeyError):
            group["vit.block_99"]

    @pytest.mark.parametrize("root", CACHES, ids=lambda root: root.name)
    def test_sizes_are_those_of_the_objects(self, root: Path) -> None:
        """In one of these caches the name of a point begins with that of another: they share no folder."""
        cache = open_cache(root)
        for name in cache.arrays:
            files = [path for path in (root / name).rglob("*") if path.is_file()]
            array = cache[name].zarr
            assert array.nbytes_stored() == sum(path.stat().st_size for path in files)
            assert array.info_complete()

    def test_another_process_gets_the_same(self, fixed: Path) -> None:
        array = open_cache(fixed)["llm.layer_01"].zarr
        again = pickle.loads(pickle.dumps(array))  # noqa: S301 - its own bytes
        np.testing.assert_array_equal(again[:], array[:])
        assert again.store == array.store
        assert repr(again.store) == f"<committed objects of {fixed}>"

    def test_other_metadata_on_the_disk_changes_nothing(self, fixed: Path) -> None:
        """The root has a digest; a file that says otherwise is a finding of `verify`."""
        path = fixed / "llm.layer_01/zarr.json"
        before = open_cache(fixed)["llm.layer_01"].zarr[:]
        path.write_text(path.read_text().replace('"shape":[10,6,12]', '"shape":[20,6,12]').replace("float32", "int32"))
        assert zarr.open_array(fixed / "llm.layer_01", mode="r").shape == (20, 6, 12), "bare zarr believes it"
        after = open_cache(fixed)["llm.layer_01"].zarr
        assert after.dtype == np.float32
        np.testing.assert_array_equal(after[:], before)


WRITES: dict[str, Callable[[zarr.Group, Any], object]] = {
    "numbers": lambda _, array: array.__setitem__(0, 1),
    "a resize": lambda _, array: array.resize((20, 6, 12)),
    "more samples": lambda _, array: array.append(np.zeros((1, 6, 12), np.float32)),
    "an attribute": lambda _, array: array.attrs.update(mine=1),
    "an attribute of the group": lambda group, _: group.attrs.update(mine=1),
    "a new array": lambda group, _: group.create_array("mine", shape=(1,), dtype="uint8"),
    "a new group": lambda group, _: group.create_group("mine"),
    "a removal": lambda group, _: group.__delitem__("pixels"),
    "a store to write to": lambda group, _: group.store.with_read_only(False),
}


class TestReadOnly:
    @pytest.mark.parametrize("write", WRITES)
    def test_nothing_can_be_written(self, fixed: Path, write: str) -> None:
        before = contents(fixed)
        cache = open_cache(fixed)
        with pytest.raises(CacheError, match=r"C is read-only through Zarr; only 'foresight extract' adds to a cache$"):
            WRITES[write](cache.zarr, cache["llm.layer_01"].zarr)
        assert contents(fixed) == before

    def test_it_cannot_be_opened_for_writing(self, fixed: Path) -> None:
        store = open_cache(fixed).zarr.store
        for mode in ("r+", "a", "w"):
            with pytest.raises(ValueError, match="read-only"):
                zarr.open_group(store, mode=mode)
        assert store.with_read_only(True) is store


class TestUnfinished:
    def test_a_shard_without_a_commit(self, fixed: Path) -> None:
        (fixed / "samples/000001.json").unlink()
        cache = open_cache(fixed)
        sentence = r"C has 2 of 3 shards committed, and the others would read as zeros; run .* again to finish it$"
        with pytest.raises(CacheError, match=sentence):
            _ = cache.zarr
        with pytest.raises(CacheError, match=sentence):
            _ = cache["pixels"].zarr

    def test_nothing_but_what_is_being_written(self, fixed: Path) -> None:
        for path in (fixed / "samples").glob("0*.json"):
            path.unlink()
        (fixed / "samples/.partial/000000").mkdir(parents=True)
        (fixed / "samples/.partial/000000/pixels").write_bytes(b"half")
        with pytest.raises(CacheError, match="0 of 3 shards committed"):
            _ = open_cache(fixed).zarr

    def test_a_point_that_only_some_shards_have(self) -> None:
        cache = open_cache(CACHES[1])
        assert "llm.layer_01" not in list(cache.zarr.array_keys())
        with pytest.raises(CacheError, match=r"the point llm\.layer_01 of .*ragged is not committed in every shard"):
            cache.zarr["llm.layer_01"]
        with pytest.raises(UnknownName, match=r"llm\.layer_01"):
            cache["llm.layer_01"]

    def test_a_point_that_was_added_since_is_there_once_the_cache_is_opened_again(self, tmp_path: Path) -> None:
        few = {name: FIXED[name] for name in ("llm.layer_01", "pixels")}
        planted.write(tmp_path / "C", planted.plan(few))
        before = open_cache(tmp_path / "C")
        planted.write(tmp_path / "C", planted.plan(FIXED))
        assert sorted(before.zarr.array_keys()) == ["llm.layer_01", "pixels"]
        np.testing.assert_array_equal(before["pixels"].zarr[9], planted.values(9, 56 * 84, FIXED["pixels"]))
        assert sorted(open_cache(tmp_path / "C").zarr.array_keys()) == sorted(FIXED)


class TestDamage:
    @pytest.mark.parametrize("selection", [5, slice(None), (slice(4, 8), slice(2, 4))], ids=["sample", "all", "part"])
    @pytest.mark.parametrize("kind", DAMAGE)
    def test_it_is_refused_in_one_sentence(self, fixed: Path, kind: str, selection: Any) -> None:
        damage(fixed, kind)
        cache = open_cache(fixed)
        with pytest.raises(CorruptCache, match=DAMAGE[kind][1]) as caught:
            cache["llm.layer_01"].zarr[selection]
        assert "extract the shard again" in str(caught.value)
        np.testing.assert_array_equal(cache["llm.layer_01"].zarr[9], cache["llm.layer_01"][9])

    def test_bare_zarr_reads_a_missing_object_as_zeros(self, fixed: Path) -> None:
        """The reason for a store of our own."""
        damage(fixed, "missing")
        assert not np.asarray(zarr.open_array(fixed / "llm.layer_01", mode="r")[4:8]).any()

    def test_without_the_refusal_zeros_would_be_read(self, fixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The control: it is the store, and no other check, that keeps zeros away."""
        get = CommittedStore.get

        async def lenient(self: CommittedStore, *arguments: Any, **named: Any) -> Any:
            try:
                return await get(self, *arguments, **named)
            except CorruptCache:
                return None

        monkeypatch.setattr(CommittedStore, "get", lenient)
        damage(fixed, "missing")
        assert not np.asarray(open_cache(fixed)["llm.layer_01"].zarr[4:8]).any()

    def test_an_object_that_vanishes_while_it_is_read(self, fixed: Path) -> None:
        array = open_cache(fixed)["llm.layer_01"].zarr
        assert np.asarray(array[4]).any()
        (fixed / "llm.layer_01/c/1/0/0").unlink()
        with pytest.raises(CorruptCache, match=r"ends before its \d+ bytes; restore it or extract the shard again"):
            array[5]

    def test_ranges_that_later_versions_of_zarr_ask_for(self, fixed: Path) -> None:
        """They get the error itself and no group of exceptions, which no caller expects."""
        store = open_cache(fixed).zarr.store
        assert isinstance(store, CommittedStore)

        async def read(*ranges: tuple[int, int]) -> list[bytes]:
            requests = [RangeByteRequest(*each) for each in ranges]
            key, prototype = "llm.layer_01/c/1/0/0", default_buffer_prototype()
            parts = [part async for parts in store.get_ranges(key, requests, prototype=prototype) for part in parts]
            return [part.to_bytes() for _, part in sorted(parts, key=lambda part: part[0]) if part]

        whole = (fixed / "llm.layer_01/c/1/0/0").read_bytes()
        assert asyncio.run(read((0, 292), (292, 584))) == [whole[:292], whole[292:584]]
        (fixed / "llm.layer_01/c/1/0/0").write_bytes(flipped(whole, 300))
        with pytest.raises(CorruptCache, match="chunk 1 of"):
            asyncio.run(read((0, 292), (292, 584)))


def test_absent_chunks_of_ragged_samples_are_legal(ragged: Path) -> None:
    array = open_cache(ragged)["vit.block_01"].zarr
    assert array.chunks == (1, 128, 10)
    assert array.shape[1] == 384
    assert not np.asarray(array[0, 128:]).any()
    assert np.asarray(array[0, :24]).any()
