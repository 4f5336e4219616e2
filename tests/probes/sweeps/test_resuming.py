"""A sweep that is killed goes on to the same results."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import scenes
from tests.support.command import foresight


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


HEADS = ["--heads", "pooled-linear,ridge,token-linear"]
WORDS = ["--task", "counting,position", *HEADS, "--seeds", "0,1", "--epochs", "2", "--logger", "none", "--no-controls"]


def content(runs: Path) -> dict[str, bytes]:
    """All that is in a folder of runs but what tells of time."""
    found = {str(path.relative_to(runs)): path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    for name in [name for name in found if name.endswith(".json")]:
        record = json.loads(found[name])
        for field in ("wall_seconds", "bytes_read", "company"):
            record.pop(field)
        found[name] = json.dumps(record).encode()
    return found


def test_a_killed_sweep_goes_on_to_the_same_results(cache: "scenes.Cache", tmp_path: Path) -> None:
    """SIGKILL when the first results are there, and again a little later; then to the end."""
    arguments = ["train-probe", str(cache.path), *WORDS]
    whole = foresight(*arguments, "--out", tmp_path / "whole")
    assert whole.returncode == 0
    assert whole.stderr.splitlines()[:2] == [
        "left out: token-linear does not fit the task counting",
        "left out: ridge does not fit the task position",
    ]
    program = [sys.executable, "-c", "from pipelines.cli import main; main()", *arguments, "--out", tmp_path / "killed"]
    partly = 0
    for finished in (1, 4):
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list((tmp_path / "killed").rglob("*.json"))) < finished and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        partly += process.returncode == -signal.SIGKILL
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("*.json")}
    assert partly, "no kill fell into the sweep: the test shows nothing"
    assert 0 < len(there) < len(list((tmp_path / "whole").rglob("*.json")))
    assert foresight(*arguments, "--out", tmp_path / "killed").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in there} == there
    left = [path for path in (tmp_path / "killed").rglob(".*") if path.is_file()]
    for path in left:  # what a killed process was writing under a temporary name
        path.unlink()
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_a_metric_that_can_be_measured_now_is(cache: "scenes.Cache", tmp_path: Path) -> None:
    """As LPIPS when its weights are given at the second run; and not the other way round."""
    words = ["train-probe", str(cache.path), "--task", "counting", "--points", "vit.block_01", "--heads", "ridge"]
    words += ["--no-controls", "--logger", "none", "--out", str(tmp_path)]
    assert foresight(*words).returncode == 0
    path = tmp_path / "counting/vit.block_01/ridge-seed0.json"
    record = json.loads(path.read_text())
    old = {**record, "not_measured": {"mae": "it needs weights"}}
    del old["metrics"]["mae"]
    path.write_text(json.dumps(old))
    assert foresight(*words).returncode == 0
    again = json.loads(path.read_text())
    assert "mae" in again["metrics"]
    assert again["not_measured"] == {}
    time_of = path.stat().st_mtime_ns
    assert foresight(*words).returncode == 0
    assert path.stat().st_mtime_ns == time_of
