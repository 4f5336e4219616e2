"""The writer refuses to commit what is not whole, and to touch what is not its own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import CacheError, FingerprintMismatch
from foresight_cache.format.layout import object_key
from foresight_cache.verify import verify
from foresight_cache.writer import CacheWriter
from tests.support import contended, planted
from tests.support.contended import work
from tests.support.light_writers import contents

KEY, COMMIT = object_key("vit.block_01", 1), "samples/000001.json"


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


class TestWhatIsThere:
    """Objects and commits that another writer, a copy or a failing disk has left."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        work(tmp_path / "C", contended.ALL, 0)
        return tmp_path / "C"

    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        """The same cache as another kind of GPU makes it."""
        work(tmp_path / "other", contended.ALL, 1)
        return tmp_path / "other"

    def test_an_object_of_other_last_bits_is_adopted(self, root: Path, other: Path) -> None:
        shutil.copy(other / KEY, root / KEY)
        (root / COMMIT).unlink()
        work(root, contended.ALL, 0)
        assert (root / KEY).read_bytes() == (other / KEY).read_bytes()
        assert entries(root)["vit.block_01"] == entries(other)["vit.block_01"] != entries(root)["llm.layer_01"]
        assert verify(open_cache(root)) == []

    def test_an_adopted_entry_does_not_tell_how_this_process_fared(self, root: Path, other: Path) -> None:
        shutil.copy(other / KEY, root / KEY)
        (root / COMMIT).unlink()
        orders = {"vit.block_01": {"raster": 0.5}}
        with CacheWriter(root, contended.ALL) as writer:
            (pending,) = writer.pending(tuple(contended.ALL.points))
            with writer.shard(pending) as shard:
                contended.add(shard, pending, kind=0)
                shard.commit(contended.rows(pending.number), halved=3, orders=orders)
        assert entries(root)["vit.block_01"] == entries(other)["vit.block_01"] | {"order": {"raster": 0.5}}
        assert {name: entry.get("halved") for name, entry in entries(root).items()} == {
            **{"vit.block_01": None, "llm.layer_01": 3, "pixels": 3}
        }

    @pytest.mark.parametrize("left", [b"", b"half", "cut", "flipped"])
    def test_an_object_without_a_commit_that_is_damaged_is_replaced(self, root: Path, left: bytes | str) -> None:
        before, whole = contents(root), (root / KEY).read_bytes()
        damaged = {"cut": whole[:-9], "flipped": bytes([whole[0] ^ 1]) + whole[1:]}
        (root / KEY).write_bytes(damaged[left] if isinstance(left, str) else left)
        (root / COMMIT).unlink()
        work(root, contended.ALL, 0)
        assert contents(root) == before

    def test_an_object_of_other_samples_stays_and_is_named(self, root: Path) -> None:
        shutil.copy(root / object_key("vit.block_01", 2), root / KEY)  # the shard that has a bad sample
        (root / COMMIT).unlink()
        before = contents(root)
        with pytest.raises(CacheError, match=r"C/vit\.block_01/c/1/0/0 is there without .* other samples"):
            work(root, contended.ALL, 0)
        assert contents(root).items() >= before.items()
        assert COMMIT not in contents(root)
        (root / KEY).unlink()
        work(root, contended.ALL, 0)
        assert verify(open_cache(root)) == [], "the way out that the sentence names"

    @pytest.mark.parametrize("kind", [0, 1])
    @pytest.mark.parametrize("lost", ["object", "its end"])
    def test_a_committed_object_that_is_lost_is_written_again(
        self, root: Path, other: Path, kind: int, lost: str
    ) -> None:
        """Where it is computed with other last bits, its commit says so."""
        before, whole = contents(root), (root / KEY).read_bytes()
        (root / KEY).unlink() if lost == "object" else (root / KEY).write_bytes(whole[:-9])
        work(root, contended.ALL, kind)
        assert verify(open_cache(root)) == []
        changed = {key for key, data in contents(root).items() if data != before[key]}
        assert changed == ({KEY, COMMIT} if kind else set())
        assert entries(root)["vit.block_01"] == entries(other if kind else root)["vit.block_01"]

    def test_a_commit_of_another_decoding_is_refused(self, root: Path) -> None:
        """It has a sample as bad that is good here, so that an added point would have tokens where others have none."""
        few = contended.plan({"pixels": contended.POINTS["pixels"]})
        shutil.rmtree(root)
        work(root, few, 0)
        with CacheWriter(root, contended.ALL) as writer:
            pending = next(writer.pending(tuple(contended.ALL.points)))
            bad = [replace(row, status="bad", reason="unreadable", grids={}) for row in contended.rows(0)]
            with (
                pytest.raises(CacheError, match=r"000000\.json has sample planted/train/0000 as good .* is bad"),
                writer.shard(pending) as shard,
            ):
                shard.commit(bad)
        assert verify(open_cache(root))[0].problem.startswith("the point is not committed")


def entries(root: Path) -> dict[str, Any]:
    objects: dict[str, Any] = json.loads((root / COMMIT).read_bytes())["objects"]
    return objects
