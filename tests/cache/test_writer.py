"""The writer refuses to commit what is not whole, and to touch what is not its own."""

from pathlib import Path

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.verify import verify
from foresight_cache.writer import CacheWriter
from tests.support import planted


@pytest.mark.parametrize(("written", "rows"), [(4, 3), (3, 4)])
def test_a_shard_that_lacks_a_sample_is_not_committed(tmp_path: Path, written: int, rows: int) -> None:
    plan = planted.plan(planted.fixed_points())
    with CacheWriter(tmp_path / "C", plan) as writer:
        pending = next(writer.pending(tuple(plan.points)))
        with pytest.raises(ValueError, match="shard 0"), writer.shard(pending) as shard:
            for position in range(written):
                for point, layout in plan.points.items():
                    shard.add(position, point, planted.values(position, layout.tokens, layout))
            shard.commit([planted.good(slot, planted.grids(slot, ragged=False)) for slot in range(rows)])
    assert len(open_cache(tmp_path / "C")) == 0
    assert not list((tmp_path / "C").rglob("c")), "nothing is left of it"


def test_another_fingerprint_is_refused_by_name(tmp_path: Path) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    with pytest.raises(FingerprintMismatch, match=r"model\.weights is 'random' in the cache and 'pretrained' here"):
        CacheWriter(tmp_path / "C", planted.plan(planted.fixed_points(), weights="pretrained"))


def test_two_writers_share_the_shards(tmp_path: Path) -> None:
    plan = planted.plan(planted.fixed_points())
    points = tuple(plan.points)
    with CacheWriter(tmp_path / "C", plan) as one, CacheWriter(tmp_path / "C", plan) as other:
        first = next(one.pending(points))
        assert [pending.number for pending in other.pending(points)] == [1, 2], "one has the first"
        assert [pending.number for pending in one.pending(points)] == []
        assert first.number == 0
        assert other.wait_for_others(points), "the first is not committed: its holder may die yet"
    with CacheWriter(tmp_path / "C", plan) as later:
        assert [pending.number for pending in later.pending(points)] == [0, 1, 2], "claims end with their writer"
    assert not (tmp_path / "C/samples/.partial").exists()


def test_points_that_another_writer_committed_meanwhile_are_not_done_twice(tmp_path: Path) -> None:
    plan = planted.plan(planted.fixed_points())
    with CacheWriter(tmp_path / "C", plan) as writer:
        planted.write(tmp_path / "C", plan)
        assert list(writer.pending(tuple(plan.points))) == []
        assert not writer.wait_for_others(tuple(plan.points))


def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    plan = planted.plan(planted.fixed_points())
    planted.write(tmp_path / "C", plan)
    (tmp_path / "C/samples/000001.json").unlink()
    partial = tmp_path / "C/samples/.partial"
    for name in ("000001", "000002", "join"):
        (partial / name).mkdir(parents=True)
        (partial / name / "pixels").write_bytes(b"half")
        (partial / f"{name}.lock").touch()
    planted.write(tmp_path / "C", plan)
    assert not partial.exists()
    assert verify(open_cache(tmp_path / "C")) == []
