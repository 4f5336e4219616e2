"""A cache survives SIGKILL at any instant, with any number of workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.preparing import prepare

KILLS = int(os.environ.get("FORESIGHT_KILLS", "200"))
"""Kills of `make simulations`; the slow test has a third."""


@pytest.mark.parametrize(
    "kills",
    [pytest.param(KILLS // 3, marks=pytest.mark.slow), pytest.param(KILLS, marks=pytest.mark.simulation)],
)
def test_every_cache_equals_the_undisturbed_one(tmp_path: Path, kills: int) -> None:
    prepare("shapes", out=tmp_path / "S", limit=12, samples_per_shard=2)
    (tmp_path / "W").mkdir()
    program = [sys.executable, "-m", "tests.support.killed_workers"]
    run = subprocess.run([*program, tmp_path / "S", tmp_path / "W", str(kills), "0"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    done = json.loads(run.stdout)
    print(done)
    assert done["kills"] >= kills
    assert done["partly committed"] > 0, "no kill fell between two commits: the test shows nothing"
