"""The order of a hook, and copies of a cache in it."""

from pathlib import Path

import numpy as np

from foresight_cache.samples import Grid
from pipelines.discrepancy.scenes import copy_in_order, hook_order
from tests.support import scenes


def test_a_hook_sees_merge_units_window_by_window() -> None:
    """At 224 pixels there are four windows of 8×8 patches, each made of units of 2×2."""
    order_N = hook_order(Grid(1, 16, 16))
    assert sorted(order_N) == list(range(256))
    assert order_N[:8].tolist() == [0, 1, 16, 17, 2, 3, 18, 19]
    for window in order_N.reshape(4, 64):
        rows, columns = window // 16, window % 16
        assert np.ptp(rows) == np.ptp(columns) == 7


def test_a_copy_holds_the_same_tokens_in_other_places(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    order_N = np.random.default_rng(0).permutation(64)
    copied = copy_in_order(cache, "vit.block_01", order_N, tmp_path / "copy")
    assert copied.points == ("vit.block_01",)
    assert copied.digest != cache.digest
    assert [row["id"] for row in copied.rows] == [row["id"] for row in cache.rows]
    for row in (0, 33, 39):
        assert (copied["vit.block_01"][row] == cache["vit.block_01"][row][order_N]).all()
