"""Grids of step sizes, heads on several points, and runs that fail beside others."""

from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache.errors import ProbeError, UsageError
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import load_results
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes


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


def test_a_grid_is_a_run_for_each_value_and_closed_forms_are_in_none(cache: "scenes.Cache", tmp_path: Path) -> None:
    found = train_sweep(plan_sweep(cache, GRID, tmp_path))
    runs = [result.run for result in found if result.point == "vit.block_01"]
    assert runs == [
        *(f"mlp-lr{rate}-seed{seed}" for seed in (0, 1) for rate in ("0.001", "0.01")),
        *(f"ridge-seed{seed}" for seed in (0, 1)),
    ]
    rates = [result.learning_rate for result in found if result.point == "vit.block_01"]
    assert rates == [0.001, 0.01, 0.001, 0.01, 0.0, 0.0]
    assert {result.options["learning_rate"] for result in found if "lr0.01" in result.run} == {0.01}
    assert sorted(path.suffix for path in (tmp_path / "counting" / "vit.block_01").iterdir()).count(".safetensors") == 6
    assert not any(result.trained_now for result in train_sweep(plan_sweep(cache, GRID, tmp_path)))


def test_heads_on_several_points(cache: "scenes.Cache", tmp_path: Path) -> None:
    joined = "vit.block_01+pixels"
    sweep = Sweep(tasks=("position",), points=(joined,), heads=("several-concatenated",), options=QUICK)
    result = train_sweep(plan_sweep(cache, sweep, tmp_path))[-1]
    assert (result.point, result.width) == (joined, scenes.WIDTH + 12)
    with pytest.raises(UsageError, match="no head of mlp fits the task 'position' on several points at once"):
        train_sweep(
            plan_sweep(cache, Sweep(tasks=("position",), points=(joined,), heads=("mlp",), options=QUICK), tmp_path)
        )
    with pytest.raises(UsageError, match="joins patterns that name several points"):
        plan_sweep(cache, replace(sweep, points=("vit.*+pixels",), heads=None), tmp_path)


def test_a_run_that_fails_leaves_the_others_finished(cache: "scenes.Cache", tmp_path: Path) -> None:
    sweep = Sweep(
        tasks=("position",),
        points=("vit.block_01",),
        heads=("mlp",),
        learning_rates=(1e38, 1e-3),
        options=TrainingOptions(epochs=12, resamples=10),
    )
    with pytest.raises(
        ProbeError, match=r"the loss of position/mlp-lr1e\+38-wd0.3-seed0/channels became .*; use a sma"
    ):
        train_sweep(plan_sweep(cache, sweep, tmp_path))
    (constant, trained) = load_results(tmp_path)
    assert (constant.run, trained.run) == ("constant-seed0", "mlp-lr0.001-seed0")
    with pytest.raises(ProbeError, match=r"the loss of position/mlp-lr1e\+38"):
        train_sweep(plan_sweep(cache, replace(sweep, learning_rates=(1e38,)), tmp_path / "alone"))
    assert [result.run for result in load_results(tmp_path / "alone")] == ["constant-seed0"]
