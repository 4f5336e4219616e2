"""What is read of finished runs: by the head that validation chooses, with the reason where there is nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes.calibration.state import CalibrationState
from foresight_probes.results.result import Result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import evidence as module
from foresight_probes.studies import running
from foresight_probes.studies.criteria import measured
from foresight_probes.studies.curves import curve_found
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.joining import Joined
from foresight_probes.studies.named_points import named_points
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.recommendation import recommend
from foresight_probes.studies.study import Curve
from foresight_probes.studies.thresholds import Threshold
from foresight_probes.studies.verdict import find
from pipelines import studies
from tests.probes.results.test_results import result
from tests.support.planted_stages import TAPS

CACHED = ("vit.pre_merge", "vit.post_merge", "llm.layer_01")


def run(point: str, head: str, overlaps: Sequence[float], chosen_by: float, **changes: Any) -> Result:
    """A run for boxes on images of one object each, with the intervals of a mean."""
    values = np.array(overlaps)
    half = 1.96 * values.std() / len(values) ** 0.5
    mean = float(values.mean())
    scores = tuple(SampleScore(f"{n}", f"{n}", (float(value),)) for n, value in enumerate(values))
    body = {
        **{"point": point, "head": head, "scores_source": scores, "validation": {"value": chosen_by, "epoch": 1}},
        "metrics": {"mean_iou": Interval(mean, mean - half, mean + half)},
        "split": {**result().split, "test": len(values), "effective_groups": float(len(values))},
        "identity": f"{point}{head}",
    }
    return result(**(body | changes))


class Stub(dict[str, Any]):
    """A cache as far as findings look at it: one sample, four tokens of two channels at each point."""

    fingerprint: ClassVar[dict[str, Any]] = {"model": {"taps": list(TAPS)}}
    points = CACHED
    rows: ClassVar[list[dict[str, str]]] = [{"status": "ok"}]

    def __getitem__(self, point: str) -> Any:
        return SimpleNamespace(grid_of=lambda _: Grid(1, 2, 2), shape=(1, 4, 2), dtype=np.dtype(np.float32))


def evidence(*results: Result, **changes: Any) -> Evidence:
    cache: Any = Stub()
    body: dict[str, Any] = {"study": studies.load("q2"), "results": {"boxes": results}, "caches": {"images": cache}}
    return Evidence(**(body | changes))


@pytest.fixture(autouse=True)
def _fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """All instruments are fit, but where a test says otherwise."""
    monkeypatch.setattr(module, "calibration_of", lambda *_: CalibrationState(calibrated="fit"))


LOW, HIGH = [0.4, 0.5, 0.6] * 30, [0.7, 0.8, 0.9] * 30


def test_the_head_is_chosen_by_validation_and_never_by_what_is_reported() -> None:
    found = evidence(run("vit.pre_merge", "mlp", LOW, 0.7), run("vit.pre_merge", "token-linear", HIGH, 0.6))
    reading = found.reading("iou", "vit.pre_merge")
    assert [own.head for own in reading.results] == ["mlp"]
    assert reading.interval
    assert reading.interval.value == pytest.approx(0.5)


def test_the_point_is_chosen_by_validation_too_and_the_test_says_what_that_is_worth() -> None:
    found = evidence(run("vit.pre_merge", "mlp", LOW, 0.7), run("vit.post_merge", "mlp", HIGH, 0.6))
    chosen = recommend(found)
    assert chosen
    assert (chosen.point, chosen.second) == ("vit.pre_merge", "vit.post_merge")
    assert chosen.better["vit.post_merge"] > 0.999
    same = recommend(evidence(run("vit.pre_merge", "mlp", LOW, 0.7), run("vit.post_merge", "mlp", LOW, 0.6)))
    assert same
    assert same.better["vit.post_merge"] == 0.5
    assert recommend(evidence()) is None


def test_a_head_that_is_unfit_is_not_chosen_and_where_all_are_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def state(_task: str, head: str, _options: object) -> CalibrationState:
        bad = CalibrationState(calibrated="unfit", reason="unfit in 1 of 9 checks: present (lists.linear)")
        return bad if head == "mlp" else CalibrationState(calibrated="fit")

    monkeypatch.setattr(module, "calibration_of", state)
    both = evidence(run("vit.pre_merge", "mlp", HIGH, 0.9), run("vit.pre_merge", "token-linear", LOW, 0.6))
    assert both.reading("iou", "vit.pre_merge").results[0].head == "token-linear"
    alone = evidence(run("vit.pre_merge", "mlp", HIGH, 0.9))
    claims = measured(alone, "pre-merge-iou", alone.study.criteria["pre-merge-iou"], None).claims
    assert {claim.status for claim in claims} == {"instrument unfit"}
    assert "mlp for boxes is unfit in 1 of 9 checks: present (lists.linear) (vit.pre_merge)" in claims[0].why


def test_an_instrument_that_was_never_calibrated_is_read_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    never = CalibrationState(calibrated="never", reason="never calibrated")
    monkeypatch.setattr(module, "calibration_of", lambda *_: never)
    findings = find(evidence(run("vit.pre_merge", "mlp", HIGH, 0.9)))
    assert findings.cautions == ("mlp for boxes is never calibrated",)
    assert "To be kept in mind: mlp for boxes" in findings.sureness
    assert "but not of boxes by mlp" in findings.sureness  # it has no refits


def test_what_is_missing_says_why() -> None:
    found = evidence(missing={"pictures": "no cache of images was given"})
    assert found.reading("lpips", "vit.pre_merge").reason == "no cache of images was given"
    assert found.reading("iou", "vit.pre_merge").reason == "boxes was not trained on vit.pre_merge"
    other = evidence(run("vit.pre_merge", "mlp", HIGH, 0.9, not_measured={"share_above_0.5": "no reason."}))
    assert other.reading("iou-above-half", "vit.pre_merge").reason == "no reason"


def test_points_that_are_named_and_not_cached_are_not_measured() -> None:
    found = evidence(*(run(point, "mlp", LOW, 0.5) for point in CACHED))
    criterion = replace(found.study.criteria["llm-iou"], points=("q2",))
    (claim,) = measured(found, "", criterion, None).claims
    assert claim.status == "not met"  # one point decides that not all are below 0.4
    low = evidence(*(run(point, "mlp", [0.1, 0.2, 0.3] * 30, 0.5) for point in CACHED))
    (claim,) = measured(low, "", criterion, None).claims
    assert claim.status == "not measured"
    assert "the cache lacks this point (vit.patch_embed)" in claim.why
    (claim,) = measured(low, "", found.study.criteria["llm-iou"], None).claims
    assert claim.status == "met"  # a pattern means what is there


def test_the_edited_number_is_found() -> None:
    sound = run("vit.pre_merge", "mlp", LOW, 0.9)
    edited = replace(sound, metrics={"mean_iou": Interval(0.9, 0.88, 0.92)})
    with pytest.raises(ProbeError, match="mean_iou of boxes, mlp-seed0 on vit.pre_merge is 0.9 in its file, but"):
        evidence(edited).reading("iou", "vit.pre_merge")
    narrowed = replace(sound, metrics={"mean_iou": Interval(0.5, 0.6, 0.7)})
    with pytest.raises(ProbeError, match="the file was edited"):
        evidence(narrowed).reading("iou", "vit.pre_merge")


def test_a_curve_falls_between_two_points() -> None:
    found = evidence(
        run("vit.pre_merge", "mlp", HIGH, 0.9),
        run("vit.post_merge", "mlp", [0.5, 0.72, 0.9] * 30, 0.9),
        run("llm.layer_01", "mlp", LOW, 0.9),
    )
    curve = Curve(title="", measure="iou", points=("q2",), falls=Threshold("<", 0.72))
    own = curve_found(found, curve, lambda evidence, measure, point: evidence.reading(measure, point))
    assert (own.falls_at, own.earliest, own.latest) == ("vit.post_merge", "vit.post_merge", "llm.layer_01")
    assert "vit.post_merge at the earliest and llm.layer_01 at the latest" in own.sentence


def test_a_run_that_fails_is_said_and_the_rest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = studies.load("q2")
    plan = plan_study(study, Joined(caches={}, remarks=()), tmp_path, Settings())
    assert set(plan.missing) == set(study.runs)
    sweep: Any = SimpleNamespace(pending={}, folds=(), refits=(), runs={}, out=tmp_path / "runs" / "boxes")

    def fails(*_: object, **__: object) -> None:
        raise ProbeError("the loss of boxes/mlp-seed0 on vit.pre_merge is not finite")

    monkeypatch.setattr(running, "train_sweep", fails)
    body: dict[str, Any] = {"sweeps": {"boxes": sweep}, "missing": {}}
    said: list[str] = []
    carried = running.carry_out(replace(plan, **body), say=said.append)
    assert said == ["boxes: the loss of boxes/mlp-seed0 on vit.pre_merge is not finite"]
    assert carried.remarks[0] == said[0]
    assert carried.findings.verdict.possible == ("RED", "GREEN", "YELLOW")


def test_of_a_set_a_model_without_a_language_model_has_a_part() -> None:
    vision: Any = SimpleNamespace(
        fingerprint={"model": {"taps": [f"vit.block_{n:02d}" for n in range(1, 13)]}}, points=()
    )
    assert named_points("q2", vision) == ("vit.block_03", "vit.block_06")
    assert named_points("E5", vision) == ()
