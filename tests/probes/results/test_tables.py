"""The table of finished runs, filtered, sorted and with the columns that are named."""

import json
from pathlib import Path

import pytest

from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import load_results, summary_row
from foresight_probes.results.tables import select
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
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


@pytest.fixture(scope="module")
def runs(cache: "scenes.Cache", tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    train_sweep(plan_sweep(cache, GRID, out))
    return out


def test_it_is_filtered_and_sorted(runs: Path) -> None:
    shown = foresight(
        "runs", runs, "--where", "head=pooled*", "--where", "learning_rate<0.005", "--sort", "-value", "--json"
    )
    rows = json.loads(shown.stdout)
    expected = [row for row in map(summary_row, load_results(runs)) if row["run"].startswith("pooled-linear-lr0.001")]
    assert rows == sorted(expected, key=lambda row: -row["value"])
    assert len(rows) == 4


def test_columns_are_chosen(runs: Path) -> None:
    shown = foresight("runs", runs, "--columns", "run,strength", "--where", "point=vit.block_01", "--limit", 5)
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["run", "strength"]
    assert len(lines) == 6
    assert lines[5].split()[0] == "ridge-seed0"
    assert float(lines[5].split()[1]) in QUICK.strengths


def test_mistakes(runs: Path) -> None:
    assert "'value~3' is no condition; write for example" in said("runs", runs, "--where", "value~3", status=2)
    assert "unknown column 'valu'; did you mean 'value'" in said("runs", runs, "--sort", "valu", status=2)
    assert "unknown column 'hed'" in said("runs", runs, "--columns", "hed", status=2)
    assert "compares what is no number" in said("runs", runs, "--where", "head>3", status=2)
    assert "holds no probe results" in said("runs", runs / "absent", status=1)


def test_rows_without_a_value_come_last() -> None:
    rows = [{"a": None}, {"a": 1.0}, {"a": 3.0}, {}]
    for sort, expected in (("a", [1.0, 3.0, None, None]), ("-a", [3.0, 1.0, None, None])):
        assert [row.get("a") for row in select(rows, where=[], sort=[sort])] == expected
    assert select(rows, where=["a!=1"], sort=[]) == [{"a": 3.0}]
