"""How far an extraction is, told from its cache: counts by hand, claims of living processes, rates by a made clock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache.errors import NotACache
from foresight_cache.format.stores import LocalStore, ObjectStore, WritableStore, open_store
from foresight_cache.reader import Cache
from foresight_cache.watching import WINDOW_SECONDS, ShardAtWork, Watcher
from tests.support import buckets, planted

POINTS = planted.fixed_points()
FEW = {name: POINTS[name] for name in list(POINTS)[:1]}
"""The first of the points alone."""


@pytest.fixture
def whole(tmp_path: Path) -> Cache:
    """Ten samples in shards of four, four and two."""
    planted.write(tmp_path / "C", planted.plan(POINTS))
    return Cache(LocalStore(tmp_path / "C"))


def taken_out(cache: Cache, *shards: int) -> list[Callable[[], object]]:
    """Takes out the commits of shards, and returns what puts each back."""
    paths = [Path(cache.path) / f"samples/{number:06d}.json" for number in shards]
    records = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    return [
        lambda path=path, record=record: path.write_bytes(record)  # type: ignore[misc]
        for path, record in zip(paths, records, strict=True)
    ]


def test_shards_and_bad_samples_are_counted(whole: Cache) -> None:
    bad = [row["status"] for row in whole.rows].count("bad")
    bad_of_second = [row["status"] for row in whole.rows[4:8]].count("bad")
    (put_back,) = taken_out(whole, 1)
    watcher = Watcher(open_store(whole.path))
    seen = watcher.look()
    assert (seen.shards, seen.shards_done, seen.samples, seen.samples_done) == (3, 2, 10, 6)
    assert (seen.bad, seen.is_complete, seen.seconds_left) == (bad - bad_of_second, False, None)
    put_back()
    seen = watcher.look()
    assert (seen.shards_done, seen.samples_done, seen.bad, seen.is_complete, seen.seconds_left) == (3, 10, bad, True, 0)


def test_a_shard_that_lacks_a_point_is_not_done(tmp_path: Path) -> None:
    """The cache is promised more points than its first shards got."""
    planted.write(tmp_path / "C", planted.plan(FEW))
    watcher = Watcher(open_store(tmp_path / "C"))
    assert watcher.look().is_complete
    planted.write(tmp_path / "D", planted.plan(POINTS))
    (tmp_path / "C/zarr.json").write_bytes((tmp_path / "D/zarr.json").read_bytes())
    assert watcher.look().shards_done == 0
    for number in range(3):
        name = f"samples/{number:06d}.json"
        (tmp_path / "C" / name).write_bytes((tmp_path / "D" / name).read_bytes())
    assert watcher.look().is_complete, "commits that lacked a point are read again"


def test_a_rate_is_that_of_the_last_minutes(whole: Cache) -> None:
    """Four samples in 100 s, then two in 50: six in 150 s leave four for 100 s; later only the last ones count."""
    now = [0.0]
    put_back = taken_out(whole, 0, 1, 2)
    watcher = Watcher(open_store(whole.path), clock=lambda: now[0])
    assert watcher.look().samples_per_second is None
    now[0] = 100.0
    put_back[0]()
    assert watcher.look().samples_per_second == pytest.approx(4 / 100)
    now[0] = 150.0
    put_back[2]()
    seen = watcher.look()
    assert seen.samples_per_second == pytest.approx(6 / 150)
    assert seen.seconds_left == pytest.approx(100.0)
    now[0] = 110.0 + WINDOW_SECONDS
    assert watcher.look().samples_per_second == pytest.approx(2 / (10 + WINDOW_SECONDS)), "since the look at 100 s"
    now[0] = 160.0 + 2 * WINDOW_SECONDS
    assert watcher.look().samples_per_second is None, "nothing was finished for so long"


@pytest.fixture(params=["local", "object store"])
def stored(request: pytest.FixtureRequest, whole: Cache) -> WritableStore:
    """The cache without the commits of two shards, on a disk and in a bucket."""
    taken_out(whole, 1, 2)
    if request.param == "local":
        return LocalStore(Path(whole.path))
    bucket = request.getfixturevalue("bucket")
    buckets.put_folder(Path(whole.path), f"{bucket}/C")
    return ObjectStore(f"{bucket}/C", Path(whole.path).parent)


def test_who_writes_which_shard(stored: WritableStore) -> None:
    import os

    watcher = Watcher(open_store(stored.place))
    assert watcher.look().at_work == ()
    claim = stored.claim("000001")
    assert claim
    mine = ShardAtWork(shard=1, worker=f"process {os.getpid()} of this machine")
    assert watcher.look().at_work == (mine,)
    claim.release()
    assert watcher.look().at_work == ()


def test_dead_workers_are_not_at_work(whole: Cache) -> None:
    """No process has this number and this start; another machine's folder that was made just now may live."""
    taken_out(whole, 1, 2)
    partial = Path(whole.path) / "samples/.partial"
    claim = LocalStore(Path(whole.path)).claim("000001")
    assert claim
    machine = claim.scratch.name.split(".")[1].split("-")[0]
    (partial / f"000002.{machine}-999999999-1-00000000").mkdir()
    assert [own.shard for own in Watcher(open_store(whole.path)).look().at_work or ()] == [1]
    claim.release()
    (partial / "000002.0123456789ab-7-1-00000000").mkdir()
    seen = Watcher(open_store(whole.path)).look()
    assert seen.at_work == (ShardAtWork(shard=2, worker="process 7 of machine 0123456789ab"),)


def test_there_is_no_cache_yet(tmp_path: Path) -> None:
    with pytest.raises(NotACache, match="holds no cache yet: it has no zarr.json; start 'foresight extract' first"):
        Watcher(open_store(tmp_path / "C")).look()
