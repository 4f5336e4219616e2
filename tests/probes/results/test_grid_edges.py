"""The remark that the best penalty lies at an edge of its grid."""

from dataclasses import replace
from pathlib import Path

import pytest

from foresight_probes.options import TrainingOptions
from foresight_probes.results.grid_edges import edge_remarks
from foresight_probes.results.result import Result
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes


def trained(cache: "scenes.Cache", out: Path, *strengths: float) -> list[Result]:
    options = TrainingOptions(resamples=10, strengths=strengths)
    sweep = Sweep(tasks=("counting",), points=("vit.*",), heads=("ridge",), controls=(), options=options)
    return train_sweep(plan_sweep(cache, sweep, out))


def test_it_is_said_where_another_penalty_may_be_better(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 96)
    wide = trained(cache, tmp_path / "wide", *(10.0**power for power in range(-3, 7)))
    inside = {result.point: result.validation["strength"] for result in wide if "strength" in result.validation}
    assert 1e-3 < inside["vit.block_01"] < 1e6
    assert not [remark for remark in edge_remarks(wide) if "vit.block_01" in remark]
    best = inside["vit.block_01"]
    for name, grid, word in (
        ("least", (best * 100, best * 1000), "smaller"),
        ("largest", (best / 10, best / 5), "larger"),
    ):
        results = [result for result in trained(cache, tmp_path / name, *grid) if result.point != "vit.block_02"]
        (remark,) = edge_remarks(results)
        assert f"ridge is best with the {name} penalty of its grid" in remark
        assert f"at vit.block_01, so that a {word} one may be better" in remark


def test_a_single_penalty_has_no_edge(tmp_path: Path) -> None:
    assert edge_remarks(trained(scenes.write(tmp_path / "cache"), tmp_path / "runs", 1.0)) == []


@pytest.mark.parametrize("count", [3, 5])
def test_points_are_named_together_and_controls_not(count: int, tmp_path: Path) -> None:
    (result, *_) = [
        own for own in trained(scenes.write(tmp_path / "cache"), tmp_path / "runs", 1.0, 2.0) if own.head == "ridge"
    ]
    found = [
        replace(result, point=f"llm.layer_{k:02d}", validation={**result.validation, "strength": 1.0})
        for k in range(count)
    ]
    others = [replace(found[0], control="shuffled", task="speed"), replace(found[0], parameters=0, task="order")]
    (remark,) = edge_remarks([*found, *others])
    assert ("and 2 more points" in remark) == (count == 5)
    assert "llm.layer_00, llm.layer_01, llm.layer_02" in remark
