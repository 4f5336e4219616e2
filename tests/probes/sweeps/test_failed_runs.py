"""Runs without a number: those whose metric is not defined, or whose training diverged, are tried once."""

import json
import pickle
from pathlib import Path

import pytest
from sklearn.metrics import r2_score

from foresight_cache.reader import Cache
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import side_of
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out
from foresight_probes.sweeps.failed_runs import SUFFIX, FailedRun, RunsFailed
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from tests.support import planted_study, scenes

POINT = "vit.block_01"
OPTIONS = TrainingOptions(resamples=100, device="cpu")


def sweep(**changes: object) -> Sweep:
    usual = {"tasks": ("counting",), "points": (POINT,), "heads": ("ridge",), "options": OPTIONS}
    return Sweep(**(usual | changes))  # type: ignore[arg-type]


def make_alike(cache: Cache) -> Cache:
    """Leaves one object in each test scene: R² of their number is not defined."""
    shares = {"train_share": OPTIONS.train_share, "validation_share": OPTIONS.validation_share}
    for row in cache.rows:
        if side_of(row["group"], **shares) == "test":
            row["annotations"]["objects"] = row["annotations"]["objects"][:1]
    return cache


def states(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}


def test_a_metric_that_no_fold_has_is_that_of_all_folds_together(tmp_path: Path) -> None:
    """A fold with one sample has no R², which is of differences between samples."""
    cache = scenes.write(tmp_path / "cache", 16)
    options = TrainingOptions(resamples=100, device="cpu", folds=16, train_share=0.6, validation_share=0.2)
    out = tmp_path / "runs"
    results = train_sweep(plan_sweep(cache, sweep(options=options), out))
    for own in results:
        answers, truth = zip(*(score.scores for score in own.scores), strict=True)
        assert own.value.value == pytest.approx(r2_score(truth, answers))
    assert {own.head for own in results} == {"constant", "ridge"}
    before = states(out)
    again = train_sweep(plan_sweep(cache, sweep(options=options), out))
    assert [own.metrics for own in again] == [own.metrics for own in results]
    assert states(out) == before


def test_what_is_not_defined_is_tried_once(tmp_path: Path) -> None:
    cache, out = make_alike(scenes.write(tmp_path / "cache", 60)), tmp_path / "runs"
    messages = []
    for _ in range(2):
        plan = plan_sweep(cache, sweep(), out)
        with pytest.raises(RunsFailed, match="r2 of counting/.* is not defined") as caught:
            train_sweep(plan)
        assert caught.value.undefined
        messages.append((str(caught.value), sum(map(len, plan.pending.values())), states(out)))
    (first, pending, written), (second, none, same) = messages
    assert (second, none, same) == (first, 0, written)
    assert pending == 2
    kept = sorted(name for name in written if name.endswith(SUFFIX))
    assert kept == ["counting/mean-predictor/constant-seed0.failed", f"counting/{POINT}/ridge-seed0.failed"]
    (out / kept[1]).unlink()
    assert sum(map(len, plan_sweep(cache, sweep(), out).pending.values())) == 1


@pytest.mark.parametrize("damage", ["{", '{"format": "x"}', "identity"])
def test_a_record_of_another_run_or_damaged_is_none(tmp_path: Path, damage: str) -> None:
    cache, out = make_alike(scenes.write(tmp_path / "cache", 60)), tmp_path / "runs"
    with pytest.raises(RunsFailed):
        train_sweep(plan_sweep(cache, sweep(), out))
    path = out / "counting" / POINT / "ridge-seed0.failed"
    path.write_text(json.dumps({**json.loads(path.read_text()), "identity": "0"}) if damage == "identity" else damage)
    assert list(plan_sweep(cache, sweep(), out).pending) == [POINT]


def test_a_control_without_a_number_is_tried_once(tmp_path: Path) -> None:
    """Those without one are left out of what stands beside a number, and the sweep is finished."""
    cache, out = scenes.write(tmp_path / "cache", 60), tmp_path / "runs"
    results = train_sweep(plan_sweep(cache, sweep(controls=("label-shuffle",)), out))
    path = next(out.glob("controls/*/counting/*/ridge-seed0.json"))
    record = json.loads(path.read_text())
    path.unlink()
    plan = plan_sweep(cache, sweep(controls=("label-shuffle",)), out)
    ((point, (run,)),) = plan.pending.items()
    plan.store.record(FailedRun(point, "r2 is not defined", is_undefined=True), run)
    plan = plan_sweep(cache, sweep(controls=("label-shuffle",)), out)
    assert (plan.pending, plan.failed) == ({}, ())
    assert record["control"] == "label-shuffle"
    assert [own.metrics for own in train_sweep(plan)] == [own.metrics for own in results]


def test_diverging_runs_are_tried_once(tmp_path: Path) -> None:
    cache, out = scenes.write(tmp_path / "cache", 40), tmp_path / "runs"
    wild = sweep(heads=("mlp",), options=TrainingOptions(resamples=100, device="cpu", epochs=2, learning_rate=1e30))
    found = []
    for pending in (2, 0):
        plan = plan_sweep(cache, wild, out)
        assert sum(map(len, plan.pending.values())) == pending
        with pytest.raises(RunsFailed, match="became") as caught:
            train_sweep(plan)
        found.append((str(caught.value), caught.value.diverged(), caught.value.undefined))
    assert found[0] == found[1]
    assert found[0][1:] == ({POINT: 1}, False)


def test_other_processes_can_raise_it() -> None:
    failed = RunsFailed([FailedRun("a", "r2 is not defined", is_undefined=True), FailedRun("b", "LPIPS needs weights")])
    other = pickle.loads(pickle.dumps(failed))  # noqa: S301 - as processes do
    assert (str(other), other.failures) == (str(failed), failed.failures)
    assert str(other) == "r2 is not defined (1 more runs failed as well)"
    assert not other.undefined


def test_a_study_says_that_it_is_not_measured_and_goes_on(tmp_path: Path) -> None:
    """Nothing went wrong: the samples at hand do not tell."""
    cache = planted_study.cache(tmp_path / "cache")
    study = parse_study(planted_study.STUDY, "mine.yaml")
    joined = join(study, [cache.path])
    make_alike(joined.caches["scenes"])
    trained = []
    for _ in range(2):
        carried = carry_out(plan_study(study, joined, tmp_path / "out", Settings()))
        trained.append(carried.trained)
        assert carried.failed == ()
        claims = {claim.name: claim for claim in carried.findings.claims}
        assert claims["counted.well"].status == "not measured"
        assert "is not defined" in claims["counted.well"].why
        assert any("is not defined" in remark for remark in carried.remarks)
    assert trained[1] == 0 < trained[0]
