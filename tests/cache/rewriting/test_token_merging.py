"""Merged tokens: the means of neighbours in raster order, in a cache of its own that is whole and is no other."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from foresight_cache import open_cache
from foresight_cache.errors import FingerprintMismatch, UsageError
from foresight_cache.rewriting.token_merging import merge_tokens, merged_tokens
from foresight_cache.samples import Grid
from foresight_cache.verify import verify
from foresight_cache.writer import CacheWriter
from tests.support import planted
from tests.support.command import foresight, said
from tests.support.killed_recoding import contents


def write(folder: Path, *, ragged: bool = False, bad: tuple[int, ...] = (5,)) -> Path:
    points = planted.points_of_every_type(ragged=ragged)
    planted.write(folder, planted.plan(points), ragged=ragged, bad=bad)
    return folder


def neighbours(tokens_THWD: np.ndarray, cells: int) -> np.ndarray:
    """The means, cell by cell, of what is there."""
    frames, height, width, _ = tokens_THWD.shape
    means = [
        tokens_THWD[t, y : y + cells, x : x + cells].reshape(-1, tokens_THWD.shape[3]).mean(0)
        for t in range(frames)
        for y in range(0, height, cells)
        for x in range(0, width, cells)
    ]
    return np.stack(means)


@pytest.mark.parametrize("cells", [2, 4])
def test_of_grids_that_are_divided_means_are_those_of_a_reshape(cells: int) -> None:
    tokens = np.random.default_rng(0).normal(size=(2 * 8 * 12, 3))
    blocks = tokens.reshape(2, 8 // cells, cells, 12 // cells, cells, 3)
    assert np.allclose(merged_tokens(tokens, Grid(2, 8, 12), cells), blocks.mean((2, 4)).reshape(-1, 3), atol=1e-12)


@pytest.mark.parametrize("ragged", [False, True], ids=["fixed", "ragged"])
@pytest.mark.parametrize("cells", [2, 3, 4])
def test_a_merged_cache_holds_the_means_and_is_whole(tmp_path: Path, cells: int, ragged: bool) -> None:
    """Edges of grids that are not divided are the means of what is there."""
    source = open_cache(write(tmp_path / "C", ragged=ragged))
    merge_tokens(source, cells, tmp_path / "D")
    merged = open_cache(tmp_path / "D")
    assert verify(merged) == []
    assert merged.arrays == source.arrays
    assert [row["id"] for row in merged.rows] == [row["id"] for row in source.rows]
    assert [row["status"] for row in merged.rows] == [row["status"] for row in source.rows]
    for name in source.arrays:
        assert merged[name].dtype == source[name].dtype
        for number, row in enumerate(source.rows):
            if row["status"] == "bad":
                continue
            if name == "pixels":
                assert (merged[name][number] == source[name][number]).all()
                assert merged[name].grid_of(number) == source[name].grid_of(number)
                continue
            tokens = source[name].grid(number).astype(np.float64)
            assert merged[name].grid_of(number) == Grid(
                tokens.shape[0], -(-tokens.shape[1] // cells), -(-tokens.shape[2] // cells)
            )
            expected = neighbours(tokens, cells)
            rounding = {2: 2**-8, 4: 1e-6}[merged[name].dtype.itemsize]
            assert np.allclose(merged[name][number], expected, rtol=rounding, atol=rounding)


def test_means_are_rounded_once(tmp_path: Path) -> None:
    """What is stored is the nearest number of the type to the mean in float64."""
    source = open_cache(write(tmp_path / "C"))
    merge_tokens(source, 2, tmp_path / "D", ["vit.block_01"])
    merged = open_cache(tmp_path / "D")
    assert merged.points == ("vit.block_01", "pixels")
    expected = neighbours(source["vit.block_01"].grid(0).astype(np.float64), 2).astype(ml_dtypes.bfloat16)
    assert (merged["vit.block_01"].stored(0) == expected).all()


def test_it_is_another_cache_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source = open_cache(write(tmp_path / "C"))
    merge_tokens(source, 2, tmp_path / "D")
    merged = open_cache(tmp_path / "D")
    assert merged.digest != source.digest
    assert merged.fingerprint == {**source.fingerprint, "tokens": {"merged": 2, "by": "mean"}}
    assert merged.layout.shards == source.layout.shards
    before = contents(tmp_path / "D")
    (tmp_path / "D" / "samples" / "000001.json").unlink()
    merge_tokens(source, 2, tmp_path / "D")
    assert contents(tmp_path / "D") == before
    with pytest.raises(FingerprintMismatch, match="tokens.merged"):
        merge_tokens(source, 4, tmp_path / "D")
    with pytest.raises(FingerprintMismatch, match="tokens"):
        CacheWriter(tmp_path / "D", source.layout)
    with pytest.raises(UsageError, match="merged already"):
        merge_tokens(merged, 2, tmp_path / "E")


def test_the_command(tmp_path: Path) -> None:
    write(tmp_path / "C")
    words = ("merge-tokens", tmp_path / "C", "--cells", "2", "--points", "vit.*", "--out", tmp_path / "D")
    run = foresight(*words)
    assert run.returncode == 0, run.stderr
    assert open_cache(tmp_path / "D").points == ("vit.block_01", "vit.block_02", "pixels")
    assert foresight("verify", tmp_path / "D").returncode == 0
    inside = said("merge-tokens", tmp_path / "C", "--cells", "2", "--out", tmp_path / "C" / "inner", status=2)
    assert "is the cache" in inside
    assert "unknown extraction point 'vit.block_9'" in said(
        *words[:4], "--points", "vit.block_9", "--out", tmp_path / "E", status=2
    )
