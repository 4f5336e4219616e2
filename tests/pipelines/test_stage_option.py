"""`train-probe --stage` changes where features are read and nothing of what comes out."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from foresight_cache import open_cache
from foresight_cache.runtime.mounts import filesystem_of
from foresight_cache.verify import verify
from tests.support import scenes
from tests.support.command import foresight, said
from tests.support.copied import contents, flip, pull
from tests.support.processes import finish, start


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 64).path)


@pytest.fixture
def streamed(tmp_path: Path) -> Path:
    """A configuration by which tokens are read in each epoch."""
    (tmp_path / "streamed.yaml").write_text("resident: none\nresamples: 20\nepochs: 1\n")
    return tmp_path / "streamed.yaml"


def train(cache: Path | str, out: Path, *more: object, heads: str = "token-linear") -> list[object]:
    words = ["train-probe", cache, "--task", "boxes", "--points", "vit.block_01", "--heads", heads, "--out", out]
    return [*words, *more]


def results(out: Path) -> dict[str, Any]:
    """All results by their paths, without the time that they took."""
    found = {path.relative_to(out).as_posix(): json.loads(path.read_text()) for path in out.rglob("*.json")}
    return {key: {name: value for name, value in found[key].items() if name != "wall_seconds"} for key in sorted(found)}


@pytest.fixture
def expected(cache: Path, tmp_path: Path, streamed: Path) -> dict[str, Any]:
    assert foresight(*train(cache, tmp_path / "far", "--config", streamed)).returncode == 0
    return results(tmp_path / "far")


def test_results_are_those_of_the_cache_itself(
    cache: Path, tmp_path: Path, streamed: Path, expected: dict[str, Any]
) -> None:
    shutil.copytree(cache, tmp_path / "far-away")
    words = ("--config", streamed, "--stage", tmp_path / "STAGE")
    run = foresight(*train(tmp_path / "far-away", tmp_path / "near", *words))
    assert run.returncode == 0, run.stderr
    near = results(tmp_path / "near")
    assert {result["cache"]["path"] for result in near.values()} == {str(tmp_path / "far-away")}
    for result in near.values():
        result["cache"]["path"] = str(cache)
    assert near == expected
    pull(cache, tmp_path / "P", "vit.block_01")
    assert contents(tmp_path / "STAGE") == contents(tmp_path / "P")

    flip(tmp_path / "far-away/vit.block_01/c/0/0/0")  # what is staged is not read there again
    shutil.rmtree(tmp_path / "near")
    assert foresight(*train(tmp_path / "far-away", tmp_path / "near", *words)).returncode == 0
    assert results(tmp_path / "near").keys() == expected.keys()
    run = foresight(*train(tmp_path / "far-away", tmp_path / "near", *words))
    assert run.stderr.startswith(f"nothing is staged in {tmp_path / 'STAGE'}: one pass over ")
    assert "no run is to be trained" in run.stderr


def test_where_one_pass_is_enough_nothing_is_copied(cache: Path, tmp_path: Path, streamed: Path) -> None:
    words = train(cache, tmp_path / "R", "--config", streamed, "--stage", tmp_path / "STAGE", heads="pooled-linear")
    run = foresight(*words, "--no-controls")
    assert run.returncode == 0
    sentence = f"nothing is staged in {tmp_path / 'STAGE'}: one pass over {cache} is enough, as only means"
    assert run.stderr.startswith(sentence)
    assert not (tmp_path / "STAGE").exists()


def test_what_cannot_be_a_stage(cache: Path, tmp_path: Path, streamed: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/text").write_text("mine")
    usual = train(cache, tmp_path / "R", "--config", streamed)
    assert "notes holds files that are not a cache" in said(*usual, "--stage", tmp_path / "notes", status=1)
    assert "is both source and target" in said(*usual, "--stage", cache, status=2)
    if filesystem_of(Path("/dev/shm")) == "tmpfs":  # noqa: S108 - nothing is written there
        text = said(*usual, "--stage", "/dev/shm/stage", status=2)  # noqa: S108
        assert "--stage /dev/shm/stage lies in memory (tmpfs)" in text


@pytest.mark.slow
def test_jobs_of_a_node_stage_once(cache: Path, tmp_path: Path, streamed: Path, expected: dict[str, Any]) -> None:
    words = ("--config", streamed, "--stage", tmp_path / "STAGE")
    jobs = [start({}, *train(cache, tmp_path / f"R{number}", *words)) for number in range(3)]
    for number, job in enumerate(jobs):
        done = finish(job)
        assert done.returncode == 0, done.stderr
        assert results(tmp_path / f"R{number}") == expected
    assert verify(open_cache(tmp_path / "STAGE")) == []


@pytest.mark.slow
def test_processes_of_a_sweep_read_the_stage(cache: Path, tmp_path: Path, streamed: Path) -> None:
    usual = ["train-probe", cache, "--task", "boxes", "--heads", "token-linear", "--points", "vit.*", "--no-controls"]
    usual += ["--config", streamed]
    assert foresight(*usual, "--out", tmp_path / "far").returncode == 0
    run = foresight(*usual, "--devices", 2, "--out", tmp_path / "near", "--stage", tmp_path / "STAGE")
    assert run.returncode == 0, run.stderr
    assert results(tmp_path / "near") == results(tmp_path / "far")


def test_from_an_object_store(
    cache: Path, tmp_path: Path, streamed: Path, expected: dict[str, Any], bucket: str
) -> None:
    assert foresight("push", cache, f"{bucket}/C").returncode == 0
    run = foresight(*train(f"{bucket}/C", tmp_path / "near", "--config", streamed, "--stage", tmp_path / "STAGE"))
    assert run.returncode == 0, run.stderr
    near = results(tmp_path / "near")
    assert {result["cache"].pop("path") for result in near.values()} == {f"{bucket}/C"}
    assert all(result["cache"].pop("path") for result in expected.values())
    assert near == expected
    assert verify(open_cache(tmp_path / "STAGE")) == []
