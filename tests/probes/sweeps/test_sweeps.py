"""A sweep from words and from YAML; killed and resumed; shared out over processes; its table."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from foresight_cache.errors import MissingExtra, ProbeError, UnknownName, UsageError
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import load_results, summary_row
from foresight_probes.results.tables import select
from foresight_probes.sweeps.plan import Sweep
from foresight_probes.sweeps.processes import train_on
from foresight_probes.sweeps.request import names, request
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.training.loggers import open_loggers
from tests.support import scenes
from tests.support.command import foresight, said


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


QUICK = TrainingOptions(epochs=2, resamples=10)
GRID = Sweep(
    tasks=("counting",),
    points=("vit.*",),
    heads=("pooled-linear", "ridge"),
    seeds=(0, 1),
    learning_rates=(1e-3, 1e-2),
    options=QUICK,
)


class TestRequest:
    def test_words_and_a_file_say_the_same(self, tmp_path: Path) -> None:
        words = {"task": "boxes,position", "points": "E4, E4+E5", "seeds": "0,1", "lr": "1e-4,1e-3", "epochs": 3}
        path = tmp_path / "sweep.yaml"
        path.write_text("task: [boxes, position]\npoints: [E4, E4+E5]\nseeds: [0, 1]\nlr: [1e-4, 1.0e-3]\nepochs: 3\n")
        assert request(words) == request({}, path)
        assert request(words).sweep.learning_rates == (1e-4, 1e-3)
        assert request(words).sweep.points == ("E4", "E4+E5")

    def test_words_stand_over_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_text("task: boxes\nepochs: 3\nweight_decay: 0.1\nstrengths: [1e-3, 1]\ndevices: 2\nlogger: none\n")
        found = request({"epochs": 5, "task": None}, path)
        assert (found.sweep.options.epochs, found.sweep.options.weight_decay) == (5, 0.1)
        assert (found.sweep.options.strengths, found.sweep.weight_decays) == ((1e-3, 1.0), ())
        assert (found.devices, found.loggers) == (2, ("none",))
        assert request({"task": "boxes", "weight_decay": "0,0.1"}).sweep.weight_decays == (0.0, 0.1)

    @pytest.mark.parametrize("name", names())
    def test_every_name_is_an_option_of_the_command_or_a_training_option(self, name: str) -> None:
        shown = foresight("train-probe", "--help").stdout
        assert f"--{name.replace('_', '-')}" in shown or hasattr(QUICK, name)

    @pytest.mark.parametrize(
        ("text", "error", "words"),
        [
            ("lrr: 1\n", UnknownName, r"unknown option in .*yaml 'lrr'; did you mean 'lr'"),
            ("heds: mlp\n", UnknownName, "did you mean 'heads'"),
            ("task: boxes\nseeds: [a]\n", UsageError, r"seeds is \['a'\], expected numbers, for example 0,1"),
            ("task: boxes\nlr: [0]\n", UsageError, "lr has the value 0.0, expected numbers above 0"),
            ("task: boxes\ndevices: 0\n", UsageError, "devices is 0, expected a whole number of at least 1"),
            ("task: boxes\nlogger: cvs\n", UnknownName, "unknown logger 'cvs'; did you mean 'csv'"),
            ("epochs: 3\n", UsageError, "no task was named; name one, for example --task boxes"),
            ("- 3\n", UsageError, "holds a list, expected names with values"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        with pytest.raises(error, match=words):
            request({}, path)


def test_a_grid_is_a_run_for_each_value_and_closed_forms_are_in_none(cache: "scenes.Cache", tmp_path: Path) -> None:
    found = train_sweep(cache, GRID, tmp_path)
    runs = [result.run for result in found if result.point == "vit.block_01"]
    assert runs == [
        *(f"pooled-linear-lr{rate}-seed{seed}" for seed in (0, 1) for rate in ("0.001", "0.01")),
        *(f"ridge-seed{seed}" for seed in (0, 1)),
    ]
    assert {result.options["learning_rate"] for result in found if "lr0.01" in result.run} == {0.01}
    assert len({result.value.value for result in found if result.point == "vit.block_01"}) == 6
    assert sorted(path.suffix for path in (tmp_path / "counting" / "vit.block_01").iterdir()).count(".safetensors") == 6
    assert not any(result.trained_now for result in train_sweep(cache, GRID, tmp_path))


def test_heads_on_several_points(cache: "scenes.Cache", tmp_path: Path) -> None:
    joined = "vit.block_01+pixels"
    sweep = Sweep(tasks=("position",), points=(joined,), heads=("several-concatenated",), options=QUICK)
    result = train_sweep(cache, sweep, tmp_path)[-1]
    assert (result.point, result.width) == (joined, scenes.WIDTH + 12)
    with pytest.raises(UsageError, match="no head of mlp fits the task 'position' on several points at once"):
        train_sweep(cache, Sweep(tasks=("position",), points=(joined,), heads=("mlp",), options=QUICK), tmp_path)
    with pytest.raises(UsageError, match="joins patterns that name several points"):
        train_sweep(cache, Sweep(tasks=("position",), points=("vit.*+pixels",), options=QUICK), tmp_path)


def test_a_run_that_fails_leaves_the_others_finished(cache: "scenes.Cache", tmp_path: Path) -> None:
    sweep = Sweep(
        tasks=("position",),
        points=("vit.block_01",),
        heads=("mlp",),
        learning_rates=(1e-3, 1e38),
        options=TrainingOptions(epochs=12, resamples=10),
    )
    with pytest.raises(ProbeError, match=r"the loss of position/mlp-lr1e\+38-seed0 became .*; use a smaller"):
        train_sweep(cache, sweep, tmp_path)
    assert [result.run for result in load_results(tmp_path)] == ["pooled-linear-seed0", "mlp-lr0.001-seed0"]


HEADS = ["--heads", "pooled-linear,ridge,token-linear"]
WORDS = ["--task", "counting,position", *HEADS, "--seeds", "0,1", "--epochs", "2", "--logger", "none"]


def content(runs: Path) -> dict[str, bytes]:
    """All that is in a folder of runs but what tells of time."""
    found = {str(path.relative_to(runs)): path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    for name in [name for name in found if name.endswith(".json")]:
        record = json.loads(found[name])
        for field in ("wall_seconds", "bytes_read", "company"):
            record.pop(field)
        found[name] = json.dumps(record).encode()
    return found


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_results(cache: "scenes.Cache", tmp_path: Path) -> None:
    """SIGKILL when the first results are there, and again a little later; then to the end."""
    arguments = ["train-probe", str(cache.path), *WORDS]
    whole = foresight(*arguments, "--out", tmp_path / "whole")
    assert whole.returncode == 0
    assert whole.stderr.splitlines() == [
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


@pytest.mark.slow
def test_processes_share_out_the_points(cache: "scenes.Cache", tmp_path: Path) -> None:
    sweep = Sweep(tasks=("counting",), heads=("pooled-linear", "ridge"), options=QUICK)
    alone = train_sweep(cache, sweep, tmp_path / "one")
    seen: list[int] = []
    both = train_on(cache, sweep, tmp_path / "two", devices=2, advance=lambda samples, _: seen.append(samples))
    assert [(result.point, result.run, result.scores) for result in both] == [
        (result.point, result.run, result.scores) for result in alone
    ]
    assert sum(seen) > 0
    with pytest.raises(ProbeError, match="whose epochs differed"):
        train_on(cache, replace(sweep, options=replace(QUICK, epochs=3)), tmp_path / "two", devices=2)


def test_loggers(cache: "scenes.Cache", tmp_path: Path) -> None:
    sweep = Sweep(tasks=("counting",), points=("vit.block_01",), heads=("mlp",), options=QUICK)
    train_sweep(cache, sweep, tmp_path, loggers=["csv"])
    lines = (tmp_path / "logs" / "vit.block_01" / "version_0" / "metrics.csv").read_text().splitlines()
    assert lines[0].split(",") == ["counting/mlp-seed0/r2", "step"]
    assert [line.split(",")[1] for line in lines[1:]] == ["1", "2"]
    assert len(load_results(tmp_path)) == 2
    with pytest.raises(UnknownName, match="unknown logger 'cvs'"):
        open_loggers(["cvs"], tmp_path, "p")
    for name in ("tensorboard", "wandb"):
        if find_spec(name) is None:
            with pytest.raises(MissingExtra, match=rf"logging to {name} needs .*'foresight-cache\[{name}\]'"):
                open_loggers([name], tmp_path, "p")


@pytest.fixture(scope="module")
def runs(cache: "scenes.Cache", tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    train_sweep(cache, GRID, out)
    return out


class TestTable:
    def test_it_is_filtered_and_sorted(self, runs: Path) -> None:
        shown = foresight(
            "runs", runs, "--where", "head=pooled*", "--where", "learning_rate<0.005", "--sort", "-value", "--json"
        )
        rows = json.loads(shown.stdout)
        expected = [
            row for row in map(summary_row, load_results(runs)) if row["run"].startswith("pooled-linear-lr0.001")
        ]
        assert rows == sorted(expected, key=lambda row: -row["value"])
        assert len(rows) == 4

    def test_columns_are_chosen(self, runs: Path) -> None:
        shown = foresight("runs", runs, "--columns", "run,strength", "--where", "point=vit.block_01", "--limit", 5)
        lines = shown.stdout.splitlines()
        assert lines[0].split() == ["run", "strength"]
        assert len(lines) == 6
        assert lines[5].split()[0] == "ridge-seed0"
        assert float(lines[5].split()[1]) in QUICK.strengths

    def test_mistakes(self, runs: Path) -> None:
        assert "'value~3' is no condition; write for example" in said("runs", runs, "--where", "value~3", status=2)
        assert "unknown column 'valu'; did you mean 'value'" in said("runs", runs, "--sort", "valu", status=2)
        assert "unknown column 'hed'" in said("runs", runs, "--columns", "hed", status=2)
        assert "compares what is no number" in said("runs", runs, "--where", "head>3", status=2)
        assert "holds no probe results" in said("runs", runs / "absent", status=1)

    def test_rows_without_a_value_come_last(self) -> None:
        rows = [{"a": None}, {"a": 1.0}, {"a": 3.0}, {}]
        for sort, expected in (("a", [1.0, 3.0, None, None]), ("-a", [3.0, 1.0, None, None])):
            assert [row.get("a") for row in select(rows, where=[], sort=[sort])] == expected
        assert select(rows, where=["a!=1"], sort=[]) == [{"a": 3.0}]
