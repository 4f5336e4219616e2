"""Runs of a calibration are taken over by other code only where some of them, made again, are the same."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from foresight_probes.calibration.checks import FULL, Instrument, checks
from foresight_probes.calibration.planted import PlantedPoint
from foresight_probes.calibration.trainings import place_of
from foresight_probes.results.result import Result, load_results, save_result
from foresight_probes.statistics.interval import Interval
from pipelines import calibration_renewal
from tests.probes.results.test_results import result

MLP = Instrument(task="position", head="mlp")
POINTS = [PlantedPoint("lists"), PlantedPoint("lists", "product")]


def made(point: PlantedPoint, value: float = 0.5) -> Result:
    metrics = {"mean_iou": Interval(value, value - 0.1, value + 0.1)}
    facts = {"task": "position", "primary": "mean_iou", "metrics": metrics, "breakdown": {}}
    return result(**facts, point=str(point), head="mlp", run="mlp-seed0")


@dataclass
class Again:
    """A training that is made again at once, with this value."""

    points: tuple[PlantedPoint]
    value: float
    cache = SimpleNamespace(place=lambda out: out / "caches" / "single")

    def results(self, out: Path) -> dict[PlantedPoint, list[Result]]:
        found = made(self.points[0], self.value)
        save_result(found, out / "runs" / place_of(MLP) / "single")
        return {self.points[0]: [found]}


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """Of other code: two points, of which the first is made again."""
    for point in POINTS:
        save_result(made(point), tmp_path / "runs" / "position-mlp-0123456789ab" / "single")
    other_head = tmp_path / "runs" / "position-mlp-512-0123456789ab" / "single"
    for number in range(5):
        save_result(replace(made(POINTS[0], 0.1), point=f"p{number}"), other_head)
    return tmp_path


def renewed(calibration: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> str:
    monkeypatch.setattr(calibration_renewal, "_chosen", lambda _: [Again((POINTS[0],), value)])
    return next(
        line for line in calibration_renewal.renew(calibration, ["position"]) if line.startswith("position/mlp:")
    )


def test_the_others_are_taken_over_where_it_is_the_same(calibration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = renewed(calibration, monkeypatch, 0.5 + 1e-8)
    assert line == "position/mlp: 1 runs are the same as before, and the others were taken over"
    found = {own.point: own.value.value for own in load_results(calibration / "runs" / place_of(MLP) / "single")}
    assert found == {str(POINTS[0]): 0.5 + 1e-8, str(POINTS[1]): 0.5}, "what this code made is kept"
    assert renewed(calibration, monkeypatch, 0.9) == "position/mlp: its runs are of this code"


def test_nothing_is_where_it_is_not(calibration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = renewed(calibration, monkeypatch, 0.501)
    assert line.endswith(f"not the same on {POINTS[0]}, so that it is to be calibrated anew")
    assert [own.point for own in load_results(calibration / "runs" / place_of(MLP) / "single")] == [str(POINTS[0])]


def test_runs_of_another_head_are_none_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_result(made(POINTS[0]), tmp_path / "runs" / "position-mlp-512-0123456789ab" / "single")
    assert renewed(tmp_path, monkeypatch, 0.5) == "position/mlp: no runs of other code"


def test_the_hardest_of_each_kind_of_check_is_tried() -> None:
    chosen = [own.points[0] for own in calibration_renewal._chosen(MLP)]
    rules = {rule: {check.point for check in checks(MLP, FULL) if check.rule == rule} for rule in ("fair", "product")}
    assert all(points & set(chosen) for points in rules.values())
    assert {"llm"} <= {point.geometry for point in chosen if point in rules["fair"]}
    assert len(chosen) < len({check.point for check in checks(MLP, FULL)}) / 2
