"""Work on a real Ray cluster of two nodes, while workers and nodes die, come and hang."""

import filecmp
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from foresight_cache.errors import UsageError
from pipelines.launchers.on_ray.driver import RayLauncher
from pipelines.launchers.work import Done, WorkFailed
from tests.support.command import FORESIGHT
from tests.support.ray_clusters import ROOT, CountedWork, actors, cluster, processes_of, stop

pytest.importorskip("ray")
EXTRACT = ("--model", "tiny:qwen2_5_vl", "--points", "E1,E5", "--size", "112")


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    with cluster(nodes=2) as made:
        yield made


def _run(work: CountedWork, address: str, after: int = -1, then: Callable[[], None] = lambda: None) -> list[Done]:
    """Runs a work in this process, and does something once so many pieces are done."""
    finished: list[Done] = []

    def done(each: Done) -> None:
        finished.append(each)
        if len(finished) == after:
            then()

    RayLauncher(address).run(work, done)
    return finished


def _all_done(work: CountedWork, finished: list[Done], in_flight: int) -> None:
    """Asserts that each piece was told once, and done once but for those in flight when something died."""
    assert sorted(each.piece for each in finished) == list(range(work.count))
    begun = work.lines("begun")
    assert set(begun) == set(range(work.count))
    assert len(begun) <= work.count + in_flight


def _folders(tmp_path: Path, samples: int, per_shard: int) -> tuple[Path, Path]:
    """Returns shards, and the cache that a local run makes of them."""
    shards, local = tmp_path / "shards", tmp_path / "local"
    size = ("--limit", str(samples), "--samples-per-shard", str(per_shard))
    subprocess.run([FORESIGHT, "prepare", "shapes", *size, "--out", str(shards)], check=True)
    subprocess.run([FORESIGHT, "extract", str(shards), *EXTRACT, "--out", str(local)], check=True)
    return shards, local


def _driver(shards: Path, out: Path, address: str) -> subprocess.Popen[str]:
    words = ["extract", str(shards), *EXTRACT, "--out", str(out), "--engine", "ray", "--ray-address", address]
    return subprocess.Popen([FORESIGHT, *words], stderr=subprocess.PIPE, text=True, cwd=ROOT)


def _committed(out: Path) -> int:
    return len(list((out / "samples").glob("[0-9]*.json"))) if (out / "samples").exists() else 0


def _wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def _same_bytes(one: Path, other: Path) -> None:
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert filecmp.cmpfiles(one, other, map(str, files), shallow=False)[0] == list(map(str, files))


@pytest.mark.slow
def test_an_extraction_whose_worker_is_killed_has_the_bytes_of_a_local_one(two_nodes: Any, tmp_path: Path) -> None:
    shards, local = _folders(tmp_path, 96, 4)
    driver = _driver(shards, tmp_path / "ray", two_nodes.address)
    _wait_for(lambda: _committed(tmp_path / "ray") >= 3)
    actors()[0].kill()
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 0, said
    _same_bytes(local, tmp_path / "ray")


@pytest.mark.slow
def test_a_node_that_dies_without_another_in_its_place(two_nodes: Any, tmp_path: Path) -> None:
    work = CountedWork(folder=tmp_path, count=40)

    def die() -> None:
        two_nodes.remove_node(two_nodes.added[0], allow_graceful=False)

    _all_done(work, _run(work, two_nodes.address, 10, die), in_flight=1)


@pytest.mark.cluster
def test_a_node_that_dies_and_one_that_comes(two_nodes: Any, tmp_path: Path) -> None:
    work = CountedWork(folder=tmp_path, count=60)

    def change() -> None:
        two_nodes.remove_node(two_nodes.added[0], allow_graceful=False)
        two_nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20)

    _all_done(work, _run(work, two_nodes.address, 10, change), in_flight=1)


@pytest.mark.cluster
def test_a_node_that_comes_is_used(tmp_path: Path) -> None:
    with cluster(nodes=1) as made:
        work = CountedWork(folder=tmp_path, count=60)
        seen: list[int] = []
        watch = threading.Timer(12, lambda: seen.append(len(actors())))
        watch.start()
        finished = _run(work, made.address, 5, lambda: made.add_node(num_cpus=1, object_store_memory=80 * 2**20))
        watch.cancel()
    _all_done(work, finished, in_flight=0)
    assert seen == [2]


@pytest.mark.cluster
def test_a_node_that_hangs(two_nodes: Any, tmp_path: Path) -> None:
    work = CountedWork(folder=tmp_path, count=40)
    numbers = processes_of(two_nodes.added[0])
    try:
        _all_done(work, _run(work, two_nodes.address, 10, lambda: stop(two_nodes.added[0])), in_flight=1)
    finally:
        for number in numbers:
            os.kill(number, signal.SIGCONT)


@pytest.mark.cluster
def test_an_extraction_beside_a_node_that_hangs(two_nodes: Any, tmp_path: Path) -> None:
    """What hangs still holds its claim, and its files once it goes on; the bytes are those of a local run."""
    shards, local = _folders(tmp_path, 96, 4)
    driver = _driver(shards, tmp_path / "ray", two_nodes.address)
    _wait_for(lambda: _committed(tmp_path / "ray") >= 3)
    stop(two_nodes.added[0])
    _, said = driver.communicate(timeout=180)
    assert driver.returncode == 0, said
    assert _committed(tmp_path / "ray") == 24
    names = [path.relative_to(local) for path in local.rglob("*") if path.is_file()]
    assert all((local / name).read_bytes() == (tmp_path / "ray" / name).read_bytes() for name in names)


@pytest.mark.cluster
def test_a_driver_that_is_killed_and_one_that_is_stopped_go_on(two_nodes: Any, tmp_path: Path) -> None:
    shards, local = _folders(tmp_path, 160, 4)
    out = tmp_path / "ray"
    first = _driver(shards, out, two_nodes.address)
    _wait_for(lambda: _committed(out) >= 5)
    first.kill()
    first.communicate()
    _wait_for(lambda: not actors())  # they end with their driver
    kept = _committed(out)
    second = _driver(shards, out, two_nodes.address)
    _wait_for(lambda: _committed(out) >= kept + 5)
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 75
    third = _driver(shards, out, two_nodes.address)
    _, said = third.communicate(timeout=120)
    assert third.returncode == 0, said
    _same_bytes(local, out)


@pytest.mark.cluster
def test_probes_that_are_trained_on_a_cluster_read_the_same(two_nodes: Any, tmp_path: Path) -> None:
    _, cache = _folders(tmp_path, 96, 16)
    words = ["train-probe", str(cache), "--task", "counting,boxes", "--heads", "linear", "--json"]
    ray = ["--engine", "ray", "--ray-address", two_nodes.address]
    found = [
        json.loads(
            subprocess.run([FORESIGHT, *words, "--out", str(out), *more], check=True, stdout=subprocess.PIPE).stdout
        )
        for out, more in ((tmp_path / "here", []), (tmp_path / "there", ray))
    ]
    here, there = ({(row["task"], row["point"], row["run"]): row["value"] for row in rows} for rows in found)
    assert there == pytest.approx(here, abs=1e-6)
    assert len(here) > 4


@pytest.mark.cluster
def test_a_piece_that_ends_its_workers_is_named(two_nodes: Any, tmp_path: Path) -> None:
    work = CountedWork(folder=tmp_path, count=12, poison=5, seconds=0.05)
    with pytest.raises(WorkFailed, match="shard 000005 has ended 4 workers, the last since"):
        _run(work, two_nodes.address)
    assert work.lines("begun").count(5) == 4


@pytest.mark.cluster
def test_a_piece_for_which_no_worker_has_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray ends the workers of a node whose memory is used up, here once two gigabytes more than now are."""
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + 2 * 2**30) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{limit:.3f}")
    work = CountedWork(folder=tmp_path, count=8, hungry=(5, 4 * 2**30), seconds=0.05)
    with (
        cluster(nodes=1) as made,
        pytest.raises(WorkFailed, match=r"shard 000005 has ended 4 workers, the last since .*memory") as failed,
    ):
        _run(work, made.address)
    assert "give workers more memory" in str(failed.value)
    assert work.lines("begun").count(5) == 4
    assert set(range(5)) <= set(work.lines("done"))


@pytest.mark.cluster
def test_what_a_worker_refuses_is_one_sentence(two_nodes: Any, tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match=r"^no such model$") as refused:
        _run(CountedWork(folder=tmp_path, count=2, refuses="no such model"), two_nodes.address)
    assert refused.value.exit_status == UsageError.exit_status
    with pytest.raises(UsageError, match=r"no node of the Ray cluster has 1 GPUs \(0 at most\)"):
        _run(CountedWork(folder=tmp_path, count=2, needs_gpu=True), two_nodes.address)


@pytest.mark.cluster
def test_another_version_on_a_node_is_refused_by_name(
    two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.launchers.on_ray.cluster.own_versions", lambda: {"Python": "3.12", "torch": "1.0"})
    with pytest.raises(WorkFailed, match=r"node .* has another Python 3\.11.*, here 3\.12; torch .*; install the same"):
        _run(CountedWork(folder=tmp_path, count=2), two_nodes.address)
    assert not work_begun(tmp_path)


def work_begun(folder: Path) -> bool:
    return (folder / "begun").exists()


@pytest.mark.cluster
def test_a_head_that_dies(two_nodes: Any, tmp_path: Path) -> None:
    """Nothing of the driver's own is lost, and the same command goes on where there is a cluster again."""
    shards, local = _folders(tmp_path, 96, 4)
    driver = _driver(shards, tmp_path / "ray", two_nodes.address)
    _wait_for(lambda: _committed(tmp_path / "ray") >= 3)
    two_nodes.head_node.kill_gcs_server(check_alive=False)
    _, said = driver.communicate(timeout=240)
    assert driver.returncode == 75, said
    assert "Traceback" not in said
    assert "the Ray cluster is lost" in said
    subprocess.run([FORESIGHT, "extract", str(shards), *EXTRACT, "--out", str(tmp_path / "ray")], check=True)
    _same_bytes(local, tmp_path / "ray")
