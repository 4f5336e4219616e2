"""Layouts and commits of several writers become one that has all of each, whoever comes first."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache.errors import CacheError
from foresight_cache.format.commits import Commit
from foresight_cache.format.merging import united
from foresight_cache.format.stores import LocalStore
from foresight_cache.samples import Grid
from foresight_cache.writer import CacheWriter
from tests.support import contended, planted
from tests.support.contended import plan, work
from tests.support.light_writers import contents


class Interrupted(LocalStore):
    """A folder in which something happens just before an object is read, for the first time or a later one."""

    def __init__(self, root: Path, key: str, times: int, meanwhile: Callable[[], None]) -> None:
        super().__init__(root)
        self._swapping = False
        self._key, self._times, self._meanwhile = key, times, meanwhile

    def read(self, key: str) -> bytes:
        if key == self._key and not self._swapping:
            self._times -= 1
            if self._times == 0:
                self._meanwhile()
        return super().read(key)

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        self._swapping = True  # in turn, so that nobody else can do anything
        try:
            return super().swap(key, old, new)
        finally:
            self._swapping = False


@pytest.mark.parametrize(
    ("key", "times"),
    [("zarr.json", 1), ("zarr.json", 2), ("zarr.json", 3), ("pixels/zarr.json", 1), ("vit.block_01/zarr.json", 1)],
)
def test_a_cache_that_others_make_larger_meanwhile_is_not_made_smaller(tmp_path: Path, key: str, times: int) -> None:
    """One adds shards up to the fifth, and another one adds points and shards at any moment of it."""
    work(tmp_path / "whole", contended.ALL, 0)
    work(tmp_path / "C", plan({"pixels": contended.POINTS["pixels"]}, shards=3), 0)
    wanted = plan({name: contended.POINTS[name] for name in ("vit.block_01", "pixels")}, shards=5)
    store = Interrupted(tmp_path / "C", key, times, lambda: work(tmp_path / "C", contended.ALL, 0))
    with CacheWriter(store, wanted):
        pass
    assert contents(tmp_path / "C") == contents(tmp_path / "whole")


def commit(*points: str, **changes: object) -> Commit:
    entries = {point: {"bytes": 8, "sha256": "0" * 64, "statistics": {}, **changes} for point in points}
    rows = (planted.good(0, {"patch": Grid(1, 2, 2)}), replace(planted.good(1, {}), status="bad", reason="cut"))
    return Commit(shard=0, fingerprint_sha256="1" * 64, source_sha256="2" * 64, objects=entries, rows=rows)


def test_the_order_of_two_unions_does_not_matter() -> None:
    parts = [commit("a"), commit("b"), commit("c", halved=2)]
    parts[1] = replace(parts[1], rows=(replace(parts[1].rows[0], grids={"text": Grid(1, 1, 3)}), parts[1].rows[1]))
    made = {
        united(united(parts[one], parts[two], "C"), parts[three], "C").to_json()
        for one, two, three in ((0, 1, 2), (2, 1, 0), (1, 0, 2))
    }
    assert len(made) == 1
    both = united(united(parts[0], parts[1], "C"), parts[2], "C")
    assert both.objects.keys() == {"a", "b", "c"}
    assert both.rows[0].grids == {"patch": Grid(1, 2, 2), "text": Grid(1, 1, 3)}


def test_of_what_both_have_theirs_stays() -> None:
    assert united(commit("a"), commit("a", halved=2), "C").to_json() == commit("a").to_json()
    assert united(commit("a", halved=2), commit("a"), "C").to_json() == commit("a", halved=2).to_json()


@pytest.mark.parametrize("what", ["status", "grid", "sample"])
def test_commits_of_other_samples_are_refused(what: str) -> None:
    good, bad = commit("a").rows
    other = {
        "status": replace(good, status="bad", reason="cut", grids={}),
        "grid": replace(good, grids={"patch": Grid(1, 2, 3)}),
        "sample": replace(good, sample=planted.sample(7)),
    }[what]
    mine = replace(commit("b"), rows=(other, bad))
    with pytest.raises(CacheError, match=r"C has sample planted/train/0000 as good .* decoded otherwise"):
        united(commit("a"), mine, "C")
