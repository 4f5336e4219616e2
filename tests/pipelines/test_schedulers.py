"""`train-probe` and `extract` in processes that SLURM or torchrun starts: all results, all logs, none twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from foresight_cache.runtime.claims import claim
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, load_results
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.split_runs import CLAIMS
from tests.support import scenes
from tests.support.command import FORESIGHT, foresight, said
from tests.support.preparing import prepare
from tests.support.processes import finish, slurm, slurm_per_node, start, torchrun

Scheduler = Callable[[int, int], dict[str, str]]
SCHEDULERS = (slurm, slurm_per_node, torchrun)
IN_FOUR = [
    *(pytest.param(scheduler, marks=pytest.mark.simulation) for scheduler in (slurm, torchrun)),
    pytest.param(slurm_per_node, marks=pytest.mark.slow),
]
"""Schedulers that start four processes: CI tries one, since each process takes its time to import."""

HEADS = ("mlp", "ridge")
EPOCHS = 2


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("schedulers") / "cache", 96)


@pytest.fixture(scope="module")
def alone(cache: "scenes.Cache", tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Results of one process without a scheduler."""
    options = TrainingOptions(epochs=EPOCHS, device="cpu")
    return train(cache, tasks=["counting"], heads=HEADS, out=tmp_path_factory.mktemp("alone"), options=options)


def arguments(cache: "scenes.Cache", out: Path) -> list[object]:
    names = ["--task", "counting", "--heads", ",".join(HEADS), "--epochs", EPOCHS, "--device", "cpu"]
    return ["train-probe", cache.path, *names, "--no-controls", "--out", out, "--json"]


def numbers(results: list[Result]) -> list[object]:
    """What must be the same, whoever trained it."""
    return [(each.identity, each.point, each.run, each.metrics, each.chance, each.scores) for each in results]


def check_results(cache: "scenes.Cache", runs: Path, alone: list[Result]) -> None:
    """All results are there, as of one process, and each point that was trained has one log with its epochs."""
    assert numbers(load_results(runs)) == numbers(alone)
    logs = sorted(path.relative_to(runs / "logs").as_posix() for path in (runs / "logs").rglob("*.csv"))
    assert logs == sorted(f"{point}/version_0/metrics.csv" for point in cache.points)
    for name in logs:
        assert len((runs / "logs" / name).read_text().splitlines()) > EPOCHS
    assert {path.name for path in runs.iterdir()} == {"counting", "logs"}, "no claim is left"


def check_finished(run: "CompletedProcess[str]", alone: list[Result]) -> None:
    """The process ended well and told of all results, whoever trained them."""
    assert run.returncode == 0, run.stderr
    assert [row["run"] for row in json.loads(run.stdout)] == [result.run for result in alone]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_training_in_one_process(
    scheduler: Scheduler, cache: "scenes.Cache", alone: list[Result], tmp_path: Path
) -> None:
    check_finished(finish(start(scheduler(0, 1), *arguments(cache, tmp_path / "runs"))), alone)
    check_results(cache, tmp_path / "runs", alone)


@pytest.mark.parametrize("scheduler", [slurm, torchrun])
def test_the_last_rank_does_all_where_the_others_do_not_come(
    scheduler: Scheduler, cache: "scenes.Cache", alone: list[Result], tmp_path: Path
) -> None:
    """Its loggers write, although Lightning mutes those of ranks above 0."""
    check_finished(finish(start(scheduler(3, 4), *arguments(cache, tmp_path / "runs"))), alone)
    check_results(cache, tmp_path / "runs", alone)


@pytest.mark.parametrize("scheduler", IN_FOUR)
def test_training_in_four_processes(
    scheduler: Scheduler, cache: "scenes.Cache", alone: list[Result], tmp_path: Path
) -> None:
    runs, record = tmp_path / "runs", tmp_path / "record"
    module = ["-m", "tests.support.recorded_training", record]
    processes = [
        start(scheduler(rank, 4), *module, *arguments(cache, runs), program=Path(sys.executable)) for rank in range(4)
    ]
    for process in [finish(process) for process in processes]:
        check_finished(process, alone)
    check_results(cache, runs, alone)
    check_once(record, alone)


@pytest.mark.slow
def test_training_by_torchrun_itself(cache: "scenes.Cache", alone: list[Result], tmp_path: Path) -> None:
    runs, record = tmp_path / "runs", tmp_path / "record"
    launcher = ["--standalone", "--nproc-per-node", 4, "-m", "tests.support.recorded_training", record]
    run = finish(start({}, *launcher, *arguments(cache, runs), program=FORESIGHT.with_name("torchrun")))
    assert run.returncode == 0, run.stderr
    check_results(cache, runs, alone)
    check_once(record, alone)


def check_once(record: Path, alone: list[Result]) -> None:
    """Every head was trained by one process, once, the mean predictor too."""
    lines = [line.split()[1:] for line in record.read_text().splitlines()]
    assert Counter(map(tuple, lines)) == Counter((result.point, f"counting/{result.run}") for result in alone)


@pytest.mark.slow
def test_points_of_a_killed_process_go_to_the_others(
    cache: "scenes.Cache", alone: list[Result], tmp_path: Path
) -> None:
    runs, record = tmp_path / "runs", tmp_path / "record"
    module = ["-m", "tests.support.recorded_training", record]
    first = start(slurm(0, 2), *module, *arguments(cache, runs), program=Path(sys.executable))
    _wait(lambda: record.exists() and " vit.block_01 " in record.read_text())
    first.kill()
    other = finish(start(slurm(1, 2), *arguments(cache, runs)))
    first.communicate()
    check_finished(other, alone)
    assert numbers(load_results(runs)) == numbers(alone)
    assert not (runs / ".claims").exists()


def test_a_signal_of_slurm_ends_the_sweep_and_queues_nothing(
    cache: "scenes.Cache", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning's own answer would be to ignore SIGTERM, and to call scontrol at SIGUSR1."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    runs = tmp_path / "runs"
    words = [
        "--task",
        "counting",
        "--heads",
        "mlp",
        "--epochs",
        100_000,
        "--device",
        "cpu",
        "--no-controls",
        "--out",
        runs,
    ]
    for number in (signal.SIGTERM, signal.SIGUSR1):
        process = start(slurm_per_node(1, 4), "train-probe", cache.path, "--points", "vit.block_01", *words)
        _wait(lambda: any((runs / "logs").rglob("metrics.csv")))
        process.send_signal(number)
        run = finish(process)
        assert run.returncode == 75
        assert "foresight: interrupted" in run.stderr
        assert "Traceback" not in run.stderr
        subprocess.run(["rm", "-r", runs / "logs"], check=True)
    assert not (tmp_path / "called").exists()
    assert len(load_results(runs)) == 1, "the mean predictor is kept"


def test_who_does_not_wait_ends_where_others_train_the_rest(cache: "scenes.Cache", tmp_path: Path) -> None:
    words = ["train-probe", cache.path, "--task", "counting", "--heads", "ridge", "--device", "cpu", "--no-controls"]
    words += ["--out", tmp_path / "runs", "--no-wait"]
    (tmp_path / "runs").mkdir()
    held = claim(tmp_path / "runs" / CLAIMS, "vit.block_01")
    assert held
    stopped = said(*words, status=75)
    assert "nothing is left but what other processes train, 1 points of" in stopped
    points = {result.point for result in load_results(tmp_path / "runs")}
    assert points == {MEAN_PREDICTOR, *cache.points} - {"vit.block_01"}, "what was free is done first"
    held.release()
    assert foresight(*words).returncode == 0
    assert "--no-wait with --devices 2, expected one process" in said(*words, "--devices", 2, status=2)


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("schedulers") / "S"
    prepare("shapes", out=out, limit=24, samples_per_shard=4)
    return out


def extraction(shards: Path, out: Path) -> list[object]:
    return ["extract", shards, "--model", "tiny:qwen2_5_vl", "--size", "112", "--points", "E1,E5", "--out", out]


@pytest.fixture(scope="module")
def whole(shards: Path) -> dict[str, bytes]:
    """The cache of one process without a scheduler."""
    assert foresight(*extraction(shards, shards.parent / "whole"), "--device", "cpu").returncode == 0
    return contents(shards.parent / "whole")


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ranks", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scheduler", [slurm, torchrun])
def test_extraction(scheduler: Scheduler, ranks: int, shards: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    words = [*extraction(shards, tmp_path / "C"), "--device", "cpu"]
    processes = [start(scheduler(rank, ranks), *words) for rank in range(ranks)]
    for run in [finish(process) for process in processes]:
        assert run.returncode == 0, run.stderr
        assert "24 of 24" in run.stdout
    assert contents(tmp_path / "C") == whole
