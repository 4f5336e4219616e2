"""`extract` in one of several tasks: where it begins, its part of the shards, and when others have the rest."""

import json
from pathlib import Path

import pytest

from foresight_cache.format.layout import ROOT_KEY
from foresight_cache.format.stores import open_writable
from foresight_cache.reader import open_cache
from tests.support.command import foresight, said
from tests.support.preparing import prepare
from tests.support.processes import finish, slurm, slurm_array, start

SHARDS = 3


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parts") / "S"
    prepare("shapes", out=out, limit=2 * SHARDS, samples_per_shard=2)
    return out


def words(shards: Path, out: Path) -> list[object]:
    return [
        "extract",
        shards,
        "--model",
        "tiny:qwen2_5_vl",
        "--size",
        "56",
        "--points",
        "E1",
        "--device",
        "cpu",
        "--out",
        out,
    ]


def committed(out: Path) -> list[int]:
    return sorted(commit.shard for commit in open_cache(out).commits)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_parts_make_the_cache_of_one_run_and_superfluous_ones_end_at_once(shards: Path, tmp_path: Path) -> None:
    superfluous = foresight(*words(shards, tmp_path / "C"), "--part", "4/4", "--json")
    assert superfluous.returncode == 0
    assert superfluous.stderr == f"part 4/4 has nothing to do, since {shards} has 3 shards\n"
    assert json.loads(superfluous.stdout) == {}
    assert not (tmp_path / "C").exists()
    for number, there in ((2, [1]), (1, [0, 1]), (3, [0, 1, 2])):
        run = foresight(*words(shards, tmp_path / "C"), "--part", f"{number}/4")
        assert run.returncode == 0, run.stderr
        assert committed(tmp_path / "C") == there
    assert foresight(*words(shards, tmp_path / "W")).returncode == 0
    assert contents(tmp_path / "C") == contents(tmp_path / "W")


def test_a_bad_part_is_refused_before_anything_is_made(shards: Path, tmp_path: Path) -> None:
    assert "--part is '0/4', expected I/N" in said(*words(shards, tmp_path / "C"), "--part", "0/4", status=2)
    assert not (tmp_path / "C").exists()


def test_who_does_not_wait_ends_where_others_have_the_rest(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "C"
    assert foresight(*words(shards, out), "--part", "1/3").returncode == 0
    held = open_writable(str(out)).claim("000002")
    assert held
    stopped = said(*words(shards, out), "--no-wait", status=75)
    assert "nothing is left but what other processes are writing, 1 shards of" in stopped
    assert committed(out) == [0, 1], "what was free is done first"
    assert foresight(*words(shards, out), "--no-wait", "--part", "1/3").returncode == 0, "its own part is there"
    held.release()
    assert foresight(*words(shards, out), "--no-wait").returncode == 0
    assert foresight(*words(shards, out), "--no-wait").returncode == 0, "nothing is left"
    assert (out / ROOT_KEY).exists()


def test_more_processes_than_shards_are_told_so(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in slurm_array(1, 4).items():
        monkeypatch.setenv(name, value)
    run = foresight(*words(shards, tmp_path / "C"))
    assert run.returncode == 0
    assert "4 processes share 3 shards, so that some only wait; start fewer, or add --no-wait" in run.stderr
    assert "processes share" not in foresight(*words(shards, tmp_path / "C"), "--part", "1/4").stderr
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", str(SHARDS))
    assert "processes share" not in foresight(*words(shards, tmp_path / "C")).stderr


@pytest.mark.slow
def test_a_task_begins_at_its_place_in_the_array(shards: Path, tmp_path: Path) -> None:
    """Task 1 of 3, from 0, makes shard 1 first, and the one before it last."""
    for variables in (slurm_array(1, 3), slurm(1, 3)):
        out = tmp_path / f"C{len(variables)}"
        run = finish(start(variables, *words(shards, out)))
        assert run.returncode == 0, run.stderr
        made = sorted((path.stat().st_mtime_ns, path.name) for path in (out / "samples").glob("0*.json"))
        assert [int(name[:6]) for _, name in made] == [1, 2, 0]
