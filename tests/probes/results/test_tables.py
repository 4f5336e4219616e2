"""The table of finished runs, filtered, sorted and with the columns that are named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache.errors import UnknownName
from foresight_probes.options import TrainingOptions
from foresight_probes.results.point_aliases import alias_of
from foresight_probes.results.result import load_results, save_result, summary_row
from foresight_probes.results.tables import require_columns, select
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
    heads=("mlp", "ridge"),
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
        "runs", runs, "--where", "head=ml*", "--where", "learning_rate<0.005", "--sort", "-value", "--json"
    )
    rows = json.loads(shown.stdout)
    every = [summary_row(own) | {"alias": alias_of(own) or None} for own in load_results(runs)]
    expected = [row for row in every if row["run"].startswith("mlp-lr0.001")]
    assert rows == sorted(expected, key=lambda row: -row["value"])
    assert len(rows) == 4


def test_columns_are_chosen(runs: Path) -> None:
    shown = foresight("runs", runs, "--columns", "run,strength", "--where", "point=vit.block_01", "--limit", 5)
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["run", "strength"]
    assert len(lines) == 6
    assert lines[5].split()[0] == "ridge-seed0"
    assert float(lines[5].split()[1]) in QUICK.strengths


def test_a_column_exists_where_any_run_has_it(runs: Path) -> None:
    """The first rows are of the mean predictor, which has no strength."""
    first = json.loads(foresight("runs", runs, "--json", "--limit", 1).stdout)
    assert first[0]["strength"] is None
    rows = [{"task": "a", "r2": 0.5}, {"task": "b", "psnr": 20.0}]
    assert select(rows, where=["psnr>3"], sort=["-psnr"]) == rows[1:]
    require_columns(["task", "r2", "psnr"], rows)
    with pytest.raises(UnknownName, match="unknown column 'pnsr'; did you mean 'psnr'"):
        require_columns(["pnsr"], rows)


def test_a_metric_of_later_runs_is_a_column_of_the_first(runs: Path, tmp_path: Path) -> None:
    for result in load_results(runs):
        save_result(result, tmp_path)
    last = load_results(runs)[-1]
    save_result(replace(last, task="zoo", metrics={**last.metrics, "psnr": last.value}), tmp_path)
    for words in (("--columns", "run, psnr"), ("--sort", "-psnr,run"), ("--where", "psnr!=3")):
        run = foresight("runs", tmp_path, *words, "--limit", 3)
        assert run.returncode == 0, run.stderr
    assert foresight("runs", tmp_path, "--columns", "psnr", "--limit", 1).stdout.splitlines() == ["psnr", ""]


def test_mistakes(runs: Path) -> None:
    assert "'value~3' is not a condition; write for example" in said("runs", runs, "--where", "value~3", status=2)
    assert "unknown column 'valu'; did you mean 'value'" in said("runs", runs, "--sort", "valu", status=2)
    assert "unknown column 'hed'" in said("runs", runs, "--columns", "hed", status=2)
    for option in ("--columns", "--sort"):
        assert f"{option} is 'run,,value', which has an empty element" in said(
            "runs", runs, option, "run,,value", status=2
        )
    assert "unknown column 'valu'" in said("runs", runs, "--columns", "valu", "--json", status=2)
    assert "compares text" in said("runs", runs, "--where", "head>3", status=2)
    assert "holds no probe results" in said("runs", runs / "absent", status=1)


def test_rows_without_a_value_come_last() -> None:
    rows = [{"a": None}, {"a": 1.0}, {"a": 3.0}, {}]
    for sort, expected in (("a", [1.0, 3.0, None, None]), ("-a", [3.0, 1.0, None, None])):
        assert [row.get("a") for row in select(rows, where=[], sort=[sort])] == expected
    assert select(rows, where=["a!=1"], sort=[]) == [{"a": 3.0}]
