"""Writers on filesystems whose locks keep nobody off, or that have none: all end well, and the bytes are the same."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from foresight_cache.errors import ForesightWarning
from foresight_cache.runtime import file_locks
from foresight_cache.runtime.claims import claim
from pipelines import cli
from tests.support.command import foresight
from tests.support.contended import ALL, work
from tests.support.light_writers import contents
from tests.support.preparing import prepare


def race(folder: Path, runs: int, locks: str, kinds: int = 1, kills: int = 0, seed: int = 0) -> dict[str, int]:
    words = map(str, (folder, runs, locks, kinds, kills, seed))
    program = [sys.executable, "-m", "tests.support.light_writers", *words]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    done: dict[str, int] = json.loads(ended.stdout)
    return done


@pytest.mark.parametrize(("locks", "kinds"), [("ignored", 1), ("ENOSYS", 2), ("blind", 2)])
def test_two_processes_at_once(tmp_path: Path, locks: str, kinds: int) -> None:
    assert race(tmp_path, 4, locks, kinds, kills=4)["ended well"] == 8


@pytest.mark.parametrize(
    "runs", [pytest.param(12, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.simulation)]
)
@pytest.mark.parametrize("locks", ["ignored", "ENOLCK", "blind", "real"])
def test_all_of_many_processes_end_well(tmp_path: Path, locks: str, runs: int) -> None:
    for kinds in (1, 2):
        folder = tmp_path / f"kinds-{kinds}"
        folder.mkdir()
        assert race(folder, runs, locks, kinds, kills=runs, seed=kinds)["ended well"] == 2 * runs


def refuse_locks(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(file_locks, "_told", set())


@pytest.mark.parametrize("code", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EBADF", "EIO"])
def test_what_is_given_up_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    refuse_locks(monkeypatch, getattr(errno, code))
    with pytest.warns(ForesightWarning, match="has no file locks .* such as a shard") as told:
        work(tmp_path / "C", ALL, 0)
    assert len(told) == 1
    assert not (tmp_path / "C/samples/.partial").exists()
    assert claim(tmp_path, "a") is not None
    assert claim(tmp_path, "a") is None, "it is seen by its folder that somebody has it"


def test_the_command_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("shapes", out=tmp_path / "S", limit=2)
    words = ["extract", tmp_path / "S", "--model", "tiny:qwen2_5_vl", "--size", "56", "--points", "E5", "--out"]
    assert foresight(*words, tmp_path / "with").returncode == 0
    refuse_locks(monkeypatch, errno.ENOSYS)
    monkeypatch.setattr(warnings, "showwarning", cli._show_warning)  # as the console script does
    run = foresight(*words, tmp_path / "without")
    assert run.returncode == 0
    (sentence,) = [line for line in run.stderr.splitlines() if "file locks" in line]
    assert sentence.startswith(f"foresight: the filesystem of {tmp_path / 'without'}")
    assert "(Function not implemented); the work goes on without them" in sentence
    assert contents(tmp_path / "with") == contents(tmp_path / "without")
