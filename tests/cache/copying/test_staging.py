"""What is staged is read nearby, and everything else is as if the cache were read where it lies."""

import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.copying.staging import StagedCache, check_stage, staging
from foresight_cache.errors import CacheError, CorruptCache, UsageError
from foresight_cache.format.stores import open_writable
from foresight_cache.runtime.mounts import filesystem_of
from foresight_cache.verify import verify
from tests.support import copied, planted
from tests.support.copied import contents, flip

POINTS = planted.points_of_every_type()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    planted.write(tmp_path / "SRC", planted.plan(POINTS))
    return tmp_path / "SRC"


def stage(cache: Cache, folder: Path, *arrays: str, said: list[str] | None = None) -> Cache:
    with staging(cache, folder, arrays, (said if said is not None else []).append) as made:
        made.move.run()
        return made.opened()


def test_arrays_are_read_from_the_stage_and_all_else_is_the_sources(source: Path, tmp_path: Path) -> None:
    whole = open_cache(source)
    expected = {name: [whole[name][row] for row in range(10)] for name in ("vit.block_02", "pixels")}
    staged = stage(whole, tmp_path / "STAGE", "vit.block_02")
    for name in expected:
        shutil.rmtree(source / name / "c")
    assert (staged.path, staged.digest, staged.arrays, staged.rows) == (
        *(whole.path, whole.digest, whole.arrays, whole.rows),
    )
    for name, samples in expected.items():
        assert all(np.array_equal(staged[name][row], sample) for row, sample in enumerate(samples))
    assert np.array_equal(staged["llm.layer_01"][3], whole["llm.layer_01"][3]), "not staged, so it is read far away"
    assert verify(open_cache(tmp_path / "STAGE")) == []


def test_another_process_opens_the_same(source: Path, tmp_path: Path) -> None:
    staged = stage(open_cache(source), tmp_path / "STAGE", "vit.block_02")
    shutil.rmtree(source / "vit.block_02/c")
    for again in (pickle.loads(pickle.dumps(staged)), pickle.loads(pickle.dumps(staged.reopen))()):  # noqa: S301
        assert isinstance(again, StagedCache)
        assert again.path == str(source)
        assert np.array_equal(again["vit.block_02"][7], staged["vit.block_02"][7])


def test_only_shards_that_were_committed_are_seen(source: Path, tmp_path: Path) -> None:
    commit = source / "samples/000001.json"
    data = commit.read_bytes()
    commit.unlink()
    cache = open_cache(source)
    assert len(cache) == 6
    commit.write_bytes(data)
    staged = stage(cache, tmp_path / "STAGE", "vit.block_01")
    assert [row["slot"] for row in staged.rows] == [0, 1, 2, 3, 8, 9]


def test_damage_of_the_stage_is_told_of_the_stage(source: Path, tmp_path: Path) -> None:
    staged = stage(open_cache(source), tmp_path / "STAGE", "vit.block_01")
    flip(tmp_path / "STAGE/vit.block_01/c/0/0/0", 3)
    with pytest.raises(CorruptCache, match="STAGE/vit.block_01/c/0/0/0 fails its checksum"):
        staged["vit.block_01"][0]


def test_a_stage_of_another_computation_is_refused(source: Path, tmp_path: Path) -> None:
    copied.write_other_bits(tmp_path / "STAGE", planted.plan(POINTS))
    with pytest.raises(CacheError, match="holds 3 objects that were computed apart .* another folder with --stage"):
        stage(open_cache(source), tmp_path / "STAGE", "vit.block_01")


def test_one_stages_and_the_others_wait_with_a_line(source: Path, tmp_path: Path) -> None:
    cache, said = open_cache(source), list[str]()
    claim = open_writable(tmp_path / "STAGE").claim("stage")
    assert claim
    thread = threading.Thread(target=stage, args=(cache, tmp_path / "STAGE", "vit.block_01"), kwargs={"said": said})
    thread.start()
    thread.join(1.0)
    assert thread.is_alive()
    assert said == [f"waiting for another process that stages {source} in {tmp_path / 'STAGE'}"]
    assert not (tmp_path / "STAGE/zarr.json").exists()
    claim.release()
    thread.join(30)
    assert not thread.is_alive()
    few = {name: point for name, point in POINTS.items() if name in ("vit.block_01", "pixels")}
    planted.write(tmp_path / "W", planted.plan(few))
    assert contents(tmp_path / "STAGE") == contents(tmp_path / "W")


def test_memory_is_refused_unless_it_is_asked_for(tmp_path: Path) -> None:
    memory = Path("/dev/shm/stage")  # noqa: S108 - it is not made
    if filesystem_of(memory) != "tmpfs":
        pytest.skip("there is no filesystem in memory here")
    with pytest.raises(UsageError, match=r"--stage /dev/shm/stage lies in memory \(tmpfs\).* --stage-in-memory"):
        check_stage(memory, in_memory=False)
    check_stage(memory, in_memory=True)
    if filesystem_of(tmp_path) not in ("tmpfs", "ramfs"):
        check_stage(tmp_path / "no/such/folder", in_memory=False)
