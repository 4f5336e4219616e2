"""A sweep that is shared out over processes gives what one process gives."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.processes import train_on
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


QUICK = TrainingOptions(epochs=2, resamples=10)


def test_processes_share_out_the_points(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = ("positions-only", "shuffled")
    sweep = Sweep(tasks=("counting",), heads=("pooled-linear", "ridge"), controls=chosen, options=QUICK)
    alone = train_sweep(plan_sweep(cache, sweep, tmp_path / "one"))
    seen: list[int] = []
    both = train_on(
        plan_sweep(cache, sweep, tmp_path / "two"), devices=2, advance=lambda samples, _: seen.append(samples)
    )
    assert [(result.point, result.run, result.scores, result.controls) for result in both] == [
        (result.point, result.run, result.scores, result.controls) for result in alone
    ]
    assert set(both[-1].controls) == {"mean-predictor", *chosen}
    assert sum(seen) > 0
    with pytest.raises(ProbeError, match="whose epochs differed"):
        plan_sweep(cache, replace(sweep, options=replace(QUICK, epochs=3)), tmp_path / "two")


@pytest.mark.slow
def test_processes_share_out_folds_and_refits(cache: "scenes.Cache", tmp_path: Path) -> None:
    options = replace(QUICK, folds=2, refits=4)
    what: dict[str, Any] = {"tasks": ("counting",), "heads": ("ridge",), "controls": ("shuffled",), "options": options}
    sweep = Sweep(**what, points=("vit.block_01", "vit.block_02"))
    alone = train_sweep(plan_sweep(cache, sweep, tmp_path / "one"))
    both = train_on(plan_sweep(cache, sweep, tmp_path / "two"), devices=2)
    assert [(own.point, own.metrics, own.refits, own.scores) for own in both] == [
        (own.point, own.metrics, own.refits, own.scores) for own in alone
    ]
    assert len(both[-1].refits["r2"]) == 4
