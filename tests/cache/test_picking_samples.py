"""The ways in which people pick samples of a point, each the right ones or one sentence.

Right is what bare zarr has in the slots of those samples, and what they are in pandas and numpy on the sample table.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import zarr

from foresight_cache import Cache, CachedPoint, open_cache
from foresight_cache.errors import BadSample, CacheError, ForesightError, NoSuchSample, UsageError
from tests.support import planted

POINT = "vit.block_01"
EVEN = [0, 2, 4, 6, 8]
LARGE = pd.Series([number % 2 == 0 for number in range(10)])
"""A condition on the sample table that holds for every other one of ten samples."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten samples of one grid in three shards, all good."""
    planted.write(root := tmp_path_factory.mktemp("good") / "C", planted.plan(planted.points_of_every_type()))
    return root


@pytest.fixture
def cache(place: Path) -> Cache:
    return open_cache(place)


@pytest.fixture
def quarantined(tmp_path: Path) -> Cache:
    """The same, of which sample 2 is quarantined."""
    planted.write(tmp_path / "Q", planted.plan(planted.points_of_every_type()), bad=(2,))
    return open_cache(tmp_path / "Q")


@pytest.fixture
def ragged(tmp_path: Path) -> Cache:
    """Ten samples of several grids, of which 0 and 6 have the same, and 0 and 3 as many tokens."""
    planted.write(tmp_path / "R", planted.plan(planted.points_of_every_type(ragged=True)), ragged=True)
    return open_cache(tmp_path / "R")


def bare(place: Path, name: str = POINT) -> np.ndarray:
    """All samples as bare zarr has them."""
    array = np.asarray(zarr.open_array(place / name, mode="r")[:])
    return array.view(ml_dtypes.bfloat16) if name == POINT else array


SEVERAL: dict[str, tuple[Callable[[Cache], Any], list[int]]] = {
    "a slice": (lambda _: slice(0, 2), [0, 1]),
    "an open slice": (lambda _: slice(7, None), [7, 8, 9]),
    "a slice with a step": (lambda _: slice(None, None, 3), [0, 3, 6, 9]),
    "a slice backwards": (lambda _: slice(None, None, -4), [9, 5, 1]),
    "a slice from the end": (lambda _: slice(-2, None), [8, 9]),
    "a slice past the end": (lambda _: slice(8, 100), [8, 9]),
    "a slice of numpy integers": (lambda _: slice(np.int64(1), np.uint8(3)), [1, 2]),
    "an ellipsis": (lambda _: ..., list(range(10))),
    "a range": (lambda _: range(1, 8, 3), [1, 4, 7]),
    "a list of numbers": (lambda _: [3, 1, 3], [3, 1, 3]),
    "numbers from the end": (lambda _: [-1, 0, -10], [9, 0, 0]),
    "a list of numpy integers": (lambda _: [np.int32(5), np.uint16(2)], [5, 2]),
    "a list of one-element tensors": (lambda _: list(torch.tensor([4, 2])), [4, 2]),
    "an index array": (lambda _: np.array([8, 0]), [8, 0]),
    "an index array of unsigned numbers": (lambda _: np.array([8, 0], np.uint8), [8, 0]),
    "a permutation": (lambda _: np.random.default_rng(0).permutation(10)[:4], [4, 6, 2, 7]),
    "numbers as a tensor": (lambda _: torch.tensor([7, 9]), [7, 9]),
    "np.flatnonzero of a mask": (lambda cache: np.flatnonzero(cache.samples["slot"] % 2 == 0), EVEN),
    "the index of a table that was queried": (lambda cache: cache.samples.query("slot in [6, 3]").index, [3, 6]),
    "the index of a table that was sorted": (
        lambda cache: cache.samples.sort_values("id", ascending=False).index[:2],
        [9, 8],
    ),
    "a column of numbers": (lambda cache: cache.samples["slot"].iloc[[5, 1]], [5, 1]),
    "a column of ids": (lambda cache: cache.samples["id"][7:9], [7, 8]),
    "a category of ids": (lambda cache: cache.samples["id"][7:9].astype("category"), [7, 8]),
    "a list of ids": (lambda _: ["planted/train/0004", "planted/train/0000"], [4, 0]),
    "an array of ids": (lambda _: np.array(["planted/train/0004"]), [4]),
    "an index of ids": (lambda cache: cache.samples.set_index("id").index[[2, 4]], [2, 4]),
    "a mask of pandas": (lambda cache: cache.samples["slot"] % 2 == 0, EVEN),
    "a mask of pandas by id": (lambda cache: cache.samples.set_index("id")["slot"] % 2 == 0, EVEN),
    "a mask of pandas that may lack values": (lambda _: LARGE.astype("boolean"), EVEN),
    "a mask of pandas on objects": (lambda _: LARGE.astype(object), EVEN),
    "a mask of pandas with rows of its own names": (lambda _: LARGE.set_axis(list("abcdefghij")), EVEN),
    "a mask of numpy": (lambda _: LARGE.to_numpy(), EVEN),
    "a mask as a list": (lambda _: LARGE.tolist(), EVEN),
    "a mask of numpy's truth values in a list": (lambda _: list(LARGE.to_numpy()), EVEN),
    "a mask of torch": (lambda _: torch.tensor(LARGE.tolist()), EVEN),
    "a mask of xarray": (lambda cache: cache.to_xarray()["sample"] == "planted/train/0003", [3]),
    "a mask that holds for none": (lambda _: np.zeros(10, bool), []),
    "a mask that holds for all": (lambda _: np.ones(10, bool), list(range(10))),
    "an empty list": (lambda _: [], []),
    "an empty array": (lambda _: np.array([]), []),
    "an empty slice": (lambda _: slice(5, 5), []),
    "a generator": (lambda _: (number for number in (2, 1)), [2, 1]),
    "keys of a dict": (lambda _: {5: "a", 2: "b"}.keys(), [5, 2]),
}

ONE: dict[str, tuple[Any, int]] = {
    "a number": (7, 7),
    "a number from the end": (-1, 9),
    "a numpy integer": (np.int64(7), 7),
    "a numpy integer from the end": (np.int8(-3), 7),
    "an unsigned integer": (np.uint64(3), 3),
    "an array without axes": (np.array(6), 6),
    "a tensor without axes": (torch.tensor(6), 6),
    "an id": ("planted/train/0004", 4),
    "a numpy text": (np.str_("planted/train/0004"), 4),
}

REFUSED: dict[str, tuple[Any, type[ForesightError], str]] = {
    "a truth value": (True, UsageError, r"^True \(bool\) names no sample; expected a number, an id, a slice, a mask"),
    "a truth value of numpy": (np.True_, UsageError, "names no sample"),
    "a truth value of torch": (torch.tensor(True), UsageError, "names no sample"),
    "nothing": (None, UsageError, "is no selection of samples"),
    "a number with a point": (3.0, UsageError, r"3\.0 \(float\) is no selection of samples"),
    "numbers with points": (
        np.array([1.0, 2.0]),
        UsageError,
        r"array\(\[1., 2.\]\) \(ndarray\) is no selection of samples",
    ),
    "numbers and ids": ([1, "planted/train/0003"], UsageError, "is no selection of samples"),
    "a row of a table": (pd.Series({"id": "planted/train/0003", "slot": 3}), UsageError, "is no selection of samples"),
    "a row as itertuples gives it": (
        next(LARGE.to_frame("slot").itertuples()),
        UsageError,
        "is no selection of samples",
    ),
    "a number past the end": (10, NoSuchSample, "there is no sample 10 of 10; they count from 0, and from the end"),
    "a number before the start": (-11, NoSuchSample, "there is no sample -11 of 10"),
    "one number of several past the end": ([0, 10], NoSuchSample, "there is no sample 10 of 10"),
    "a mask that is too short": ([True] * 9, UsageError, "the mask has length 9 and there are 10 samples"),
    "a mask that is too long": (
        np.ones(11, bool),
        UsageError,
        "the mask has length 11 and .* all rows of cache.samples",
    ),
    "a mask of part of the table": (LARGE[3:], UsageError, "the mask has length 7"),
    "a mask of one": ([True], UsageError, "the mask has length 1"),
    "a mask of a sorted table": (
        LARGE[::-1],
        UsageError,
        r"has the rows of cache.samples in another order.*sort_index",
    ),
    "a mask that lacks a value": (LARGE.astype("boolean").where(LARGE), UsageError, "is no selection of samples"),
    "a mask of 0 and 1": (
        LARGE.astype(int),
        UsageError,
        r"only the numbers 0 and 1, .* looks like a mask; .*astype\(bool",
    ),
    "a mask of 0 and 1 of torch": (torch.tensor(LARGE.tolist()).byte(), UsageError, "looks like a mask"),
    "a mask with two axes": (np.ones((10, 2), bool), UsageError, "is no selection of samples"),
    "truth values among numbers": ([True, 2], UsageError, r"\[True, 2\] \(list\) is no selection of samples"),
    "numbers with two axes": (np.array([[1, 2]]), UsageError, "is no selection of samples"),
    "an unknown id": (
        "planted/val/1",
        NoSuchSample,
        "no sample 'planted/val/1' of 10; ids are such as 'planted/train/0000'",
    ),
    "the end of an id": ("0004", NoSuchSample, "there is no sample '0004' of 10; did you mean 'planted/train/0004'?"),
    "a slice of ids": (slice("a", "b"), UsageError, "expected whole numbers in a slice"),
    "a slice that goes nowhere": (slice(0, 5, 0), UsageError, "expected whole numbers in a slice"),
    "a table": (LARGE.to_frame(), UsageError, "the index of a table"),
    "a set, which has no order": ({1, 2}, UsageError, "is no selection of samples"),
    "a dict": ({1: 2}, UsageError, "is no selection of samples"),
    "bytes": (b"planted/train/0004", UsageError, "names no sample"),
    "a date": (pd.Timestamp(0), UsageError, "is no selection of samples"),
}


def doors(point: CachedPoint, given: Callable[[], Any]) -> Iterator[np.ndarray]:
    """The tokens that each way of reading returns, as [N, D] or [B, N, D]."""
    yield point[given()]
    gridded = point.grid(given())
    yield gridded.reshape(*gridded.shape[:-4], 24, 10)
    yield point.torch(given()).float().numpy()


@pytest.mark.parametrize(("given", "wanted"), SEVERAL.values(), ids=SEVERAL)
def test_several(place: Path, cache: Cache, given: Callable[[Cache], Any], wanted: list[int]) -> None:
    point, expected = cache[POINT], bare(place)[wanted]
    for found in doors(point, lambda: given(cache)):
        assert found.shape == (len(wanted), 24, 10)
        np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert point[given(cache)].dtype == np.float32
    assert point.grid(given(cache)).shape == (len(wanted), 1, 4, 6, 10)
    assert point.torch(given(cache)).dtype == torch.bfloat16
    for tokens, row in zip(point.each(given(cache)), expected, strict=True):
        np.testing.assert_array_equal(tokens, row.astype(np.float32))


@pytest.mark.parametrize(("given", "wanted"), ONE.values(), ids=ONE)
def test_one(place: Path, cache: Cache, given: Any, wanted: int) -> None:
    point, expected = cache[POINT], bare(place)[wanted]
    for found in doors(point, lambda: given):
        np.testing.assert_array_equal(found, expected.astype(np.float32))
    np.testing.assert_array_equal(point.stored(given), expected)
    assert point.grid(given).shape == (1, 4, 6, 10)
    assert point.grid_of(given) == (1, 4, 6)
    (tokens,) = point.each(given)
    np.testing.assert_array_equal(tokens, expected.astype(np.float32))


@pytest.mark.parametrize(("given", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
def test_one_sentence(cache: Cache, given: Any, kind: type[ForesightError], sentence: str) -> None:
    point = cache[POINT]
    for door in (point.__getitem__, point.grid, point.torch, point.each, point.grid_of, point.stored):
        with pytest.raises(kind, match=sentence) as refused:
            door(given)
        text = str(refused.value)
        assert "\n" not in text
        assert not text.endswith(".")


def test_a_number_past_the_end_is_an_index_error_too(cache: Cache) -> None:
    with pytest.raises(IndexError):
        cache[POINT][10]


def test_several_axes_are_refused_where_python_cannot_tell_them_from_a_tuple(cache: Cache) -> None:
    with pytest.raises(UsageError, match=r"takes one index, that of samples, and got 2; .*point\.to_xarray\(\)"):
        cache[POINT][0, :5]
    np.testing.assert_array_equal(cache[POINT].torch((1, 2)).float().numpy(), cache[POINT][[1, 2]])


@pytest.mark.parametrize("door", ["stored", "grid_of"])
def test_where_one_sample_is_meant_several_are_refused(cache: Cache, door: str) -> None:
    with pytest.raises(UsageError, match="means several samples, expected one"):
        getattr(cache[POINT], door)(slice(0, 2))


class TestQuarantined:
    def test_length_loop_and_index_agree(self, quarantined: Cache) -> None:
        point, rows = quarantined[POINT], quarantined.samples
        paired = []
        with pytest.raises(BadSample, match="planted/train/0002 is quarantined: truncated; .*each\\(bad='skip'\\)$"):
            for row, tokens in zip(rows.itertuples(), point, strict=True):
                np.testing.assert_array_equal(tokens, point[row.Index])
                paired.append(row.Index)
        assert paired == [0, 1]
        assert len(point) == len(rows) == 10

    def test_a_loop_over_good_ones_is_asked_for(self, quarantined: Cache) -> None:
        point, rows = quarantined[POINT], quarantined.samples
        good = rows[rows["status"] == "ok"]
        for found in (point.each(bad="skip"), point.each(good.index), point.each(rows["status"] == "ok")):
            for row, tokens in zip(good.itertuples(), found, strict=True):
                np.testing.assert_array_equal(tokens, point[row.id])
        assert len(list(point.each([1, 2, 3], bad="skip"))) == 2
        with pytest.raises(UsageError, match="bad is 'ignore', expected 'raise' or 'skip'"):
            point.each(bad="ignore")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "read", [np.asarray, np.mean, lambda point: np.stack(list(point)), lambda point: point[:4]]
    )
    def test_no_array_leaves_it_out(self, quarantined: Cache, read: Callable[[CachedPoint], object]) -> None:
        with pytest.raises(BadSample, match="planted/train/0002 is quarantined"):
            read(quarantined[POINT])
        assert quarantined[POINT][3:].shape == (7, 24, 10)


class TestSeveralSizes:
    def test_samples_of_one_grid_are_read_together(self, ragged: Cache) -> None:
        point = ragged[POINT]
        np.testing.assert_array_equal(point[[0, 6]], [point[0], point[6]])
        assert point.shape == (10, max(len(tokens) for tokens in point), 10)

    @pytest.mark.parametrize("read", [lambda point: point[:], np.asarray, lambda point: point.torch([0, 1])])
    def test_others_are_refused(self, ragged: Cache, read: Callable[[CachedPoint], object]) -> None:
        with pytest.raises(CacheError, match=r"must have one grid, these have \d+ \(1×4×.*point\.each\(samples\)$"):
            read(ragged[POINT])

    def test_an_equal_number_of_tokens_is_not_one_grid(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Token 7 of 4×6 lies elsewhere than token 7 of 6×4."""
        shapes = [planted.Grid(1, 4, 6), planted.Grid(1, 6, 4)]
        monkeypatch.setattr(planted, "grids", lambda slot, *_: {"patch": shapes[slot % 2]})
        layout = planted.PointLayout.fixed("patch", "bfloat16", 24, 10)
        planted.write(tmp_path / "C", planted.plan({POINT: layout}, samples=4))
        point = open_cache(tmp_path / "C")[POINT]
        assert point[::2].shape == (2, 24, 10)
        with pytest.raises(CacheError, match=r"these have 2 \(1×4×6, 1×6×4\)"):
            point.torch([0, 1])

    def test_none_of_them_has_no_shape(self, ragged: Cache) -> None:
        with pytest.raises(CacheError, match="must have one grid"):
            ragged[POINT][[]]


class TestNumpy:
    def test_an_array_of_a_point_is_as_its_shape_says(self, place: Path, cache: Cache) -> None:
        for name in cache:
            array = np.asarray(cache[name])
            assert array.shape == cache[name].shape
            np.testing.assert_array_equal(array, bare(place, name).astype(array.dtype))
        assert np.asarray(cache[POINT], np.float64).dtype == np.float64
        np.testing.assert_allclose(np.mean(cache[POINT]), bare(place).astype(np.float32).mean(), rtol=1e-4)
        with pytest.raises(ValueError, match="is always a copy"):
            np.array(cache[POINT], copy=False)

    def test_pixels_are_pictures(self, place: Path, cache: Cache) -> None:
        from matplotlib import pyplot
        from PIL import Image

        (frame,) = cache["pixels"].grid(3)
        assert (frame.dtype, frame.shape) == (np.uint8, (56, 84, 3))
        np.testing.assert_array_equal(np.asarray(Image.fromarray(frame)), bare(place, "pixels")[3].reshape(56, 84, 3))
        figure, axes = pyplot.subplots()
        np.testing.assert_array_equal(axes.imshow(frame).get_array(), frame)
        pyplot.close(figure)
        assert cache["pixels"].torch([1, 2]).dtype == torch.uint8


class TestNames:
    def test_points_go_by_alias_as_on_the_command_line(self, cache: Cache) -> None:
        """Two vision blocks and two language layers: E3 is the first block, E7 the first layer."""
        assert cache["E3"].name == "vit.block_01"
        assert cache["E7"].name == "llm.layer_01"
        assert cache["llm.*"].name == "llm.layer_01", "a pattern that means one"
        assert "E7" in cache
        assert "E8" not in cache, "the last layer is not cached"
        assert "E1" not in cache, "the model has no patch embedding"
        assert "nonsense" not in cache
        assert 7 not in cache

    def test_one_sentence_for_what_names_no_point(self, cache: Cache) -> None:
        with pytest.raises(
            UsageError, match=r"'vit\.\*' names 2 points, expected one of them: vit.block_01, vit.block_02"
        ):
            cache["vit.*"]
        with pytest.raises(UsageError, match="unknown point of this cache 'E8'; did you mean 'E7'"):
            cache["E8"]
        for given in (0, ["E3", "E7"], None, slice(None)):
            with pytest.raises(UsageError, match=r"is no name of a point, expected one of cache\.keys\(\) or an alias"):
                cache[given]  # type: ignore[index]

    def test_it_is_read_like_a_dict(self, cache: Cache) -> None:
        assert list(cache) == list(cache.keys()) == [name for name, _ in cache.items()] == list(cache.points)
        assert [point.name for point in cache.values()] == list(cache.points)
        assert {name: point.shape for name, point in dict(cache).items()} == {name: cache[name].shape for name in cache}


class TestXarray:
    def test_all_points_lie_on_their_grids(self, place: Path, cache: Cache) -> None:
        features = cache.to_xarray()
        assert features[POINT].dims == ("sample", "patch_t", "patch_y", "patch_x", "vision_channel")
        assert features["pixels"].dims == ("sample", "pixel_t", "pixel_y", "pixel_x", "rgb")
        assert features["pixels"].dtype == np.uint8
        np.testing.assert_array_equal(features["llm.layer_01"][4, 0, 1, 2], bare(place, "llm.layer_01")[4, 5])
        one = features[POINT].sel(sample="planted/train/0005", patch_t=0, patch_y=2, patch_x=3)
        np.testing.assert_array_equal(one, bare(place)[5, 2 * 6 + 3].astype(np.float32))
        chosen = features[POINT][(features["split"] == "train").values & (LARGE.to_numpy())]
        np.testing.assert_array_equal(chosen.values.reshape(5, 24, 10), cache[POINT][EVEN])
        assert list(cache.to_xarray("E7, pixels")) == ["llm.layer_01", "pixels"]
        assert features.attrs == xr.open_dataset(place, engine="foresight").attrs

    def test_a_point_alone_has_plain_axes(self, cache: Cache) -> None:
        array = cache[POINT].to_xarray()
        assert array.dims == ("sample", "t", "y", "x", "channel")
        np.testing.assert_array_equal(array.isel(sample=[1, 3], y=slice(1, 3)), cache[POINT].grid([1, 3])[:, :, 1:3])
        assert cache["pixels"].to_xarray()[:0].shape == (0, 1, 56, 84, 3)

    def test_what_is_missing_is_nan(self, quarantined: Cache) -> None:
        pixels = quarantined["pixels"].to_xarray()
        assert pixels.dtype == np.float32, "integers have no NaN"
        assert np.isnan(pixels[2]).all()
        np.testing.assert_array_equal(pixels[3], quarantined["pixels"].grid(3))
        assert np.isnan(quarantined.to_xarray()[POINT][2]).all()

    def test_samples_of_several_sizes_are_lists_of_tokens(self, ragged: Cache) -> None:
        array = ragged[POINT].to_xarray()
        assert array.dims == ("sample", "token", "channel")
        assert array.shape == ragged[POINT].shape
        tokens = ragged[POINT][1]
        np.testing.assert_array_equal(array[1][: len(tokens)], tokens)
        assert np.isnan(array[1][len(tokens) :]).all()
        assert ragged.to_xarray()[POINT].dims == ("sample", "patch", "vision_channel")
