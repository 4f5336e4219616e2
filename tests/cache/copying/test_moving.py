"""A copy of a part is, byte by byte, the cache of a writer that was asked for just this part."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from threading import Lock, Thread

import numpy as np
import pytest
import zarr

from foresight_cache import Cache, open_cache
from foresight_cache.copying.repair import examine
from foresight_cache.errors import CacheError, CorruptCache, FingerprintMismatch, NotACache, UnknownName, UsageError
from foresight_cache.format.stores import LocalStore, open_writable
from foresight_cache.runtime.disk_space import Room
from foresight_cache.verify import verify
from tests.support import copied, planted
from tests.support.copied import Watched, contents, flip, pull, states
from tests.support.damaged_objects import DAMAGE, damage

POINTS = planted.points_of_every_type()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "SRC"
    planted.write(root, planted.plan(POINTS), bad=(2,))
    return root


@pytest.fixture
def source(whole: Path, tmp_path: Path) -> Path:
    """Ten samples in three shards, at three points and the pixels; one is quarantined."""
    shutil.copytree(whole, tmp_path / "SRC")
    return tmp_path / "SRC"


def written(root: Path, *points: str, samples: int = 10) -> dict[str, bytes]:
    """What a writer makes of these points and the pixels."""
    chosen = {name: point for name, point in POINTS.items() if name in {*points, "pixels"}}
    planted.write(root, planted.plan(chosen, samples), bad=(2,))
    return contents(root)


class TestParts:
    def test_all_of_it(self, source: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    @pytest.mark.parametrize(
        ("points", "names"),
        [
            ("llm.layer_01", ["llm.layer_01"]),
            ("vit.*", ["vit.block_01", "vit.block_02"]),
            ("E6,vit.block_02", ["llm.layer_01", "vit.block_02"]),
            ("pixels", []),
        ],
    )
    def test_some_points(self, source: Path, tmp_path: Path, points: str, names: list[str]) -> None:
        pull(source, tmp_path / "C", points)
        assert contents(tmp_path / "C") == written(tmp_path / "W", *names)
        assert verify(open_cache(tmp_path / "C")) == []

    def test_the_first_shards(self, source: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C", "llm.*", ":2")
        assert contents(tmp_path / "C") == written(tmp_path / "W", "llm.layer_01", samples=8)

    def test_shards_of_the_middle_are_those_of_a_cache_that_is_not_finished(self, source: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C", "llm.*", "1:2")
        whole = written(tmp_path / "W", "llm.layer_01", samples=8)
        first = {"samples/000000.json", "llm.layer_01/c/0/0/0", "pixels/c/0/0/0"}
        assert contents(tmp_path / "C") == {key: data for key, data in whole.items() if key not in first}
        cache = open_cache(tmp_path / "C")
        assert list(cache.samples["slot"]) == [4, 5, 6, 7]
        assert np.array_equal(cache["llm.layer_01"][2], open_cache(source)["llm.layer_01"][6])
        with pytest.raises(CacheError, match="1 of 2 shards committed"):
            _ = cache.zarr

    def test_parts_add_up_in_any_order(self, source: Path, tmp_path: Path) -> None:
        for points, shards in (("vit.block_02", "1:3"), ("llm.*", "0:1"), (None, "2:"), ("vit.*", None), (None, None)):
            pull(source, tmp_path / "C", points, shards)
        assert contents(tmp_path / "C") == contents(source)

    def test_bare_zarr_reads_it(self, source: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C", "llm.*")
        group = zarr.open_group(tmp_path / "C", mode="r")
        assert set(group.array_keys()) == {"llm.layer_01", "pixels"}
        whole = zarr.open_group(source, mode="r")
        assert np.array_equal(group["llm.layer_01"][:], whole["llm.layer_01"][:])

    def test_from_a_zip_file(self, source: Path, tmp_path: Path) -> None:
        place = shutil.make_archive(str(tmp_path / "packed"), "zip", source)
        pull(Path(place), tmp_path / "C", "vit.*")
        assert contents(tmp_path / "C") == written(tmp_path / "W", "vit.block_01", "vit.block_02")

    @pytest.mark.parametrize(
        ("points", "shards", "error", "sentence"),
        [
            ("vit.block_03", None, UnknownName, "unknown .*vit.block_03"),
            ("vit.blok_01", None, UnknownName, "did you mean 'vit.block_01'"),
            ("", None, UsageError, "--points is empty"),
            (None, "2:2", UsageError, "which is no shard"),
            (None, "3:1", UsageError, "which is no shard"),
            (None, "1:4", UsageError, "has 3 shards"),
            (None, "7:", UsageError, "which is no shard"),
            (None, "-1:", UsageError, "such as 0:8"),
            (None, "1", UsageError, "such as 0:8"),
            (None, "a:b", UsageError, "such as 0:8"),
        ],
    )
    def test_what_is_not_there(
        self,
        source: Path,
        tmp_path: Path,
        points: str | None,
        shards: str | None,
        error: type[Exception],
        sentence: str,
    ) -> None:
        with pytest.raises(error, match=sentence):
            pull(source, tmp_path / "C", points, shards)
        assert not (tmp_path / "C").exists()


class TestResuming:
    @pytest.mark.parametrize("bytes_before", [0, 1, 5_000, 60_000, 130_000])
    def test_an_interrupted_copy_goes_on(self, source: Path, tmp_path: Path, bytes_before: int) -> None:
        come, lock = [0], Lock()

        def interrupt(samples: int, size: int) -> None:
            with lock:
                come[0] += size
                if come[0] - size <= bytes_before < come[0]:
                    os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            pull(source, tmp_path / "C", advance=interrupt)
        assert not (tmp_path / "C/samples/.partial").exists(), "nothing is left of what was under way"
        whole = contents(source)
        assert all(whole[key] == data for key, data in contents(tmp_path / "C").items())
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == whole

    def test_what_is_committed_is_not_read_again(self, source: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C", "vit.*")
        store = Watched(source)
        pull(Cache(store), tmp_path / "C")
        assert {key.split("/")[0] for key in store.read_bytes} == {"llm.layer_01"}

    def test_objects_that_are_there_without_a_commit_are_checked_and_kept(self, source: Path, tmp_path: Path) -> None:
        shutil.copytree(source, tmp_path / "C")
        (tmp_path / "C/samples/000001.json").unlink()
        flip(tmp_path / "C/pixels/c/1/0/0")
        (tmp_path / "C/vit.block_02/c/1/0/0").write_bytes(b"the beginning")
        before, store = states(tmp_path / "C"), Watched(source)
        pull(Cache(store), tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)
        assert set(store.read_bytes) == {"pixels/c/1/0/0", "vit.block_02/c/1/0/0"}
        kept = before.keys() - set(store.read_bytes)
        assert {key: states(tmp_path / "C")[key] for key in kept} == {key: before[key] for key in kept}

    @pytest.mark.parametrize("lost", ["missing", "truncated", "emptied", "too long"])
    def test_a_committed_object_that_was_lost_comes_back(self, source: Path, tmp_path: Path, lost: str) -> None:
        pull(source, tmp_path / "C")
        damage(tmp_path / "C", lost)
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)


class TestTheSource:
    @pytest.mark.parametrize("kind", DAMAGE)
    def test_a_damaged_object_is_named_and_its_shard_alone_is_left_out(
        self, source: Path, tmp_path: Path, kind: str
    ) -> None:
        whole = contents(source)
        damage(source, kind)
        with pytest.raises(CorruptCache, match=r"1 object could not .*\n  .*SRC/llm.layer_01/c/1/0/0 ") as told:
            pull(source, tmp_path / "C")
        assert f"foresight repair {source} --from COPY" in str(told.value)
        assert [row["slot"] for row in open_cache(tmp_path / "C").rows] == [0, 1, 2, 3, 8, 9]
        assert not (tmp_path / "C/llm.layer_01/c/1/0/0").exists()
        (source / "llm.layer_01/c/1/0/0").write_bytes(whole["llm.layer_01/c/1/0/0"])
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == whole

    def test_a_damaged_commit_is_named(self, source: Path, tmp_path: Path) -> None:
        flip(source / "samples/000002.json")
        with pytest.raises(CorruptCache, match=r"samples/000002.json"):
            pull(source, tmp_path / "C")
        assert len(open_cache(tmp_path / "C")) == 8

    def test_bytes_that_were_garbled_on_the_way_are_asked_for_again(self, source: Path, tmp_path: Path) -> None:
        pull(Cache(Watched(source, garbles=["pixels/c/0/0/0", "vit.block_01/c/2/0/0"])), tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    def test_a_cache_that_is_not_finished(self, source: Path, tmp_path: Path) -> None:
        commit = source / "samples/000001.json"
        data = commit.read_bytes()
        commit.unlink()
        with pytest.raises(CacheError, match=r"SRC has 2 of 3 shards committed with .*; what it has is in .*C now"):
            pull(source, tmp_path / "C")
        assert len(open_cache(tmp_path / "C")) == 6
        pull(source, tmp_path / "C", shards="2:3")  # what is asked for is there
        commit.write_bytes(data)
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    def test_a_cache_that_grows_meanwhile(self, tmp_path: Path) -> None:
        few = {name: point for name, point in POINTS.items() if name != "vit.block_02"}
        planted.write(tmp_path / "SRC", planted.plan(few, 8))
        whole = contents(tmp_path / "SRC")
        grown = [False]

        def grow(samples: int, size: int) -> None:
            if not grown[0]:
                grown[0] = True
                planted.write(tmp_path / "SRC", planted.plan(POINTS, 12))

        pull(tmp_path / "SRC", tmp_path / "C", advance=grow)
        assert contents(tmp_path / "C") == whole, "it is the cache that was there at first"
        pull(tmp_path / "SRC", tmp_path / "C")
        assert contents(tmp_path / "C") == contents(tmp_path / "SRC")

    def test_points_that_not_every_shard_has_yet(self, source: Path, tmp_path: Path) -> None:
        few = {name: point for name, point in POINTS.items() if name != "vit.block_02"}
        planted.write(tmp_path / "G", planted.plan(few), bad=(2,))
        for key in ("zarr.json", "vit.block_02/zarr.json", "vit.block_02/c/0/0/0", "samples/000000.json"):
            (tmp_path / "G" / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / key, tmp_path / "G" / key)
        with pytest.raises(CacheError, match="has 1 of 3 shards committed with all that was asked for"):
            pull(tmp_path / "G", tmp_path / "C")
        assert contents(tmp_path / "C") == contents(tmp_path / "G")
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    def test_no_cache_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(NotACache, match="holds no cache"):
            pull(tmp_path / "SRC", tmp_path / "C")


class TestTheFolder:
    def test_another_cache_is_refused_and_both_are_named(self, source: Path, tmp_path: Path) -> None:
        copied.of_other(tmp_path / "C", weights="pretrained")
        before = contents(tmp_path / "C")
        with pytest.raises(FingerprintMismatch, match=r"C holds another cache than .*SRC, with another model.weights"):
            pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == before

    def test_the_same_weights_by_another_name(self, tmp_path: Path) -> None:
        copied.of_other(tmp_path / "SRC", name="here", weights_digest="0a")
        copied.of_other(tmp_path / "C", name="there", weights_digest="0a")
        with pytest.raises(FingerprintMismatch, match="model.name is 'there' in the cache and 'here' here"):
            pull(tmp_path / "SRC", tmp_path / "C")

    def test_other_tars_are_refused(self, source: Path, tmp_path: Path) -> None:
        root = json.loads((source / "zarr.json").read_text())
        other = planted.plan(POINTS, 11)
        planted.write(tmp_path / "C", other)
        assert len(root["attributes"]["foresight"]["shards"]) == 3
        with pytest.raises(FingerprintMismatch, match="C holds another cache than"):
            pull(source, tmp_path / "C")

    @pytest.mark.parametrize("other", ["file", "files", "zip"])
    def test_something_else_is_refused(self, source: Path, tmp_path: Path, other: str) -> None:
        if other == "file":
            (tmp_path / "C").write_text("notes")
        elif other == "files":
            (tmp_path / "C").mkdir()
            (tmp_path / "C/notes").write_text("notes")
        else:
            shutil.make_archive(str(tmp_path / "C"), "zip", source)
            (tmp_path / "C.zip").rename(tmp_path / "C")
        with pytest.raises((NotACache, UsageError)):
            pull(source, tmp_path / "C")

    def test_a_damaged_commit_of_the_copy_is_mended_as_it_is_told(self, source: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C", "vit.*")
        flip(tmp_path / "C/samples/000001.json")
        sentence = f"mend what is damaged, as by 'foresight repair {tmp_path / 'C'} --from {source}', and run it again"
        with pytest.raises(CorruptCache, match=re.escape(sentence)):
            pull(source, tmp_path / "C")
        assert examine(open_writable(tmp_path / "C"), open_cache(source), verify).run() == []
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    def test_itself(self, source: Path) -> None:
        with pytest.raises(UsageError, match="both source and target"):
            pull(source, source)

    def test_no_room(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        needed = sum(len(data) for key, data in contents(source).items() if "/c/" in key and "llm" in key)
        pull(source, tmp_path / "C", "vit.*")
        room = Room(folder=tmp_path, free=needed - 1, block=1)
        monkeypatch.setattr(LocalStore, "room", lambda _: room)
        before = contents(tmp_path / "C")
        with pytest.raises(CacheError, match=r"C needs .* more and the disk of .* has .* free; free 1 B there"):
            pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == before
        monkeypatch.setattr(LocalStore, "room", lambda _: Room(folder=tmp_path, free=needed, block=1))
        pull(source, tmp_path / "C")

    def test_a_disk_that_fills_up(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = LocalStore.create

        def create(store: LocalStore, key: str, content: Path | bytes) -> bool:
            if key == "llm.layer_01/c/2/0/0":
                raise OSError(errno.ENOSPC, "No space left on device", key)
            return real(store, key, content)

        monkeypatch.setattr(LocalStore, "create", create)
        with pytest.raises(OSError, match="No space left"):
            pull(source, tmp_path / "C")
        monkeypatch.undo()
        assert not (tmp_path / "C/samples/.partial").exists()
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    def test_a_disk_that_may_not_be_written(self, source: Path, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a filesystem is not permitted here")
        try:
            pull(source, disk / "C", "vit.*")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            with pytest.raises(OSError, match="Read-only file system"):
                pull(source, disk / "C")
            pull(source, disk / "C", "vit.*")  # nothing is to be written
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


class TestTwoSources:
    @pytest.fixture
    def others(self, tmp_path: Path) -> Path:
        """The same samples, computed on another device."""
        copied.write_other_bits(tmp_path / "OTHER", planted.plan(POINTS))
        return tmp_path / "OTHER"

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        planted.write(tmp_path / "SRC", planted.plan(POINTS))
        return tmp_path / "SRC"

    def test_one_after_the_other(self, source: Path, others: Path, tmp_path: Path) -> None:
        assert pull(source, tmp_path / "C", "vit.*") == []
        (remark,) = pull(others, tmp_path / "C")
        assert "6 objects of" in remark
        assert "computed apart from those of" in remark
        assert "the first vit.block_01/c/0/0/0" in remark
        found = contents(tmp_path / "C")
        assert all(found[key] == data for key, data in contents(source).items() if "vit" in key)
        assert all(found[key] == data for key, data in contents(others).items() if "/llm" in key)
        assert verify(open_cache(tmp_path / "C")) == []

    def test_at_once(self, source: Path, others: Path, tmp_path: Path) -> None:
        failures = []

        def attempt(place: Path) -> None:
            try:
                pull(place, tmp_path / "C")
            except Exception as error:
                failures.append(error)

        for _ in range(2):
            threads = [Thread(target=attempt, args=(place,)) for place in (source, others, source, others)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
            assert verify(open_cache(tmp_path / "C")) == []
            shutil.rmtree(tmp_path / "C")

    def test_beside_an_extraction(self, source: Path, tmp_path: Path) -> None:
        threads = [
            Thread(target=pull, args=(source, tmp_path / "C")),
            Thread(target=planted.write, args=(tmp_path / "C", planted.plan(POINTS))),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pull(source, tmp_path / "C")
        assert contents(tmp_path / "C") == contents(source)

    def test_an_object_that_another_work_has_put_is_adopted(self, source: Path, others: Path, tmp_path: Path) -> None:
        pull(source, tmp_path / "C", "vit.*")
        key = "llm.layer_01/c/1/0/0"
        (tmp_path / "C" / key).parent.mkdir(parents=True)
        shutil.copy(others / key, tmp_path / "C" / key)
        pull(source, tmp_path / "C")
        assert (tmp_path / "C" / key).read_bytes() == (others / key).read_bytes()
        assert verify(open_cache(tmp_path / "C")) == []
        entry, theirs = (open_cache(root).commits[1].objects["llm.layer_01"] for root in (tmp_path / "C", others))
        assert entry == theirs
