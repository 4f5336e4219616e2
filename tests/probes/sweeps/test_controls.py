"""Controls beside the numbers of a sweep: found in the same way, stored apart, and what they say of a number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresight_cache.errors import ProbeError, UnknownName, UsageError
from foresight_cache.reader import Cache
from foresight_probes import controls
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, load_result, load_results
from foresight_probes.results.scores import Gathered
from foresight_probes.sweeps import point_runs
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep, parse_sweep
from foresight_probes.training.run_spec import RunSpec
from tests.support import scenes, worlds

QUICK = TrainingOptions(epochs=2, resamples=200)
SWEEP = Sweep(
    tasks=("counting", "patch-class"),
    points=(worlds.INFORMATIVE, worlds.EMPTY),
    controls=controls.names(),
    options=QUICK,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return worlds.write_pictures(tmp_path_factory.mktemp("worlds") / "cache", 160)


@pytest.fixture(scope="module")
def runs(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    train_sweep(plan_sweep(cache, SWEEP, out))
    return out


def by_name(results: list[Result]) -> dict[tuple[str, str], Result]:
    return {(result.task, result.point): result for result in results}


def test_what_is_there_lies_above_its_controls_and_what_is_not_does_not(runs: Path) -> None:
    for (task, point), result in by_name(load_results(runs)).items():
        if point == worlds.INFORMATIVE:
            assert result.doubt == "", task
        if point == worlds.EMPTY:
            assert "positions-only" in result.doubt
            assert "mean-predictor" in result.doubt
            assert result.doubt in str(result)


def test_every_number_has_the_controls_that_fit_its_task(runs: Path) -> None:
    always = {MEAN_PREDICTOR, "control-labels", "pixels", "positions-only", "shuffled"}
    for result in load_results(runs):
        expected = {"counting": {*always, "label-shuffle"}, "patch-class": always}[result.task]
        assert set(result.controls) == (set() if result.point == MEAN_PREDICTOR else expected)


def test_controls_lie_apart_and_are_results_like_others(runs: Path) -> None:
    """One of positions and of pixels for all points, one of the others for each."""
    assert {result.control for result in load_results(runs)} == {""}
    folders = sorted(path.name for path in (runs / "controls").iterdir())
    assert folders == ["control-labels", "label-shuffle", "pixels", "positions-only", "shuffled"]
    for name, points in (("shuffled", [worlds.INFORMATIVE, worlds.EMPTY]), ("positions-only", ["positions-only"])):
        own = load_results(runs / "controls" / name)
        assert {result.control for result in own} == {name}
        assert [result.point for result in own if result.task == "counting"] == points
    beside = by_name(load_results(runs / "controls" / "shuffled"))
    for (task, point), result in by_name(load_results(runs)).items():
        if point != MEAN_PREDICTOR:
            assert result.controls["shuffled"].interval == beside[task, point].value


def test_a_difference_is_between_the_same_samples(runs: Path) -> None:
    """Resampled here by hand."""
    result = by_name(load_results(runs))["counting", worlds.INFORMATIVE]
    control = by_name(load_results(runs / "controls" / "pixels"))["counting", "pixels"]
    own, other = (np.array([score.scores for score in each.scores]) for each in (result, control))
    assert [score.id for score in result.scores] == [score.id for score in control.scores]

    def r2(pairs: np.ndarray) -> float:
        return float(1 - np.square(pairs[:, 0] - pairs[:, 1]).sum() / np.square(pairs[:, 1] - pairs[:, 1].mean()).sum())

    generator = np.random.default_rng(5)
    draws = [generator.integers(len(own), size=len(own)) for _ in range(2000)]
    differences = [r2(own[draw]) - r2(other[draw]) for draw in draws]
    difference = result.controls["pixels"].difference
    assert difference is not None
    assert difference.value == pytest.approx(r2(own) - r2(other))
    assert [difference.low, difference.high] == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.05)


def test_labels_in_another_order_are_a_null_distribution(runs: Path) -> None:
    found = {point: result for (task, point), result in by_name(load_results(runs)).items() if task == "counting"}
    copies = load_result(runs / "controls/label-shuffle/counting" / worlds.INFORMATIVE / "pooled-linear-seed0.json")
    values = [part["r2"] for part in copies.breakdown.values()]
    assert len(values) == 20
    assert 1 < len(set(values)) < 20  # where a copy is no better than the mean predictor, it is that
    assert copies.value.value == pytest.approx(np.mean(values))
    assert found[worlds.INFORMATIVE].controls["label-shuffle"].p_value == pytest.approx(1 / 21)
    at_chance = found[worlds.EMPTY].controls["label-shuffle"].p_value
    assert at_chance is not None
    assert at_chance > 0.05


def test_numbers_are_the_same_without_controls(cache: Cache, runs: Path, tmp_path: Path) -> None:
    alone = train_sweep(plan_sweep(cache, replace(SWEEP, controls=()), tmp_path))
    with_them = load_results(runs)
    assert [(each.task, each.point, each.metrics, each.scores) for each in alone] == [
        (each.task, each.point, each.metrics, each.scores) for each in with_them
    ]
    assert not any(result.controls for result in alone)
    assert not (tmp_path / "controls").exists()
    later = train_sweep(plan_sweep(cache, SWEEP, tmp_path))
    assert [result.controls for result in later] == [result.controls for result in with_them]
    assert [result.controls for result in load_results(tmp_path)] == [result.controls for result in with_them]


def test_what_is_finished_is_not_trained_again(cache: Cache, runs: Path) -> None:
    """A control that was lost is, alone, and its number is written into the results."""
    assert plan_sweep(cache, SWEEP, runs).pending == {}
    times = {path: path.stat().st_mtime_ns for path in runs.rglob("*.json")}
    train_sweep(plan_sweep(cache, SWEEP, runs))
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*.json")} == times
    lost = runs / "controls" / "shuffled" / "counting" / worlds.EMPTY / "pooled-linear-seed0.json"
    lost.unlink()
    plan = plan_sweep(cache, SWEEP, runs)
    assert {point: list(map(str, own)) for point, own in plan.pending.items()} == {
        worlds.EMPTY: ["counting~shuffled/pooled-linear-seed0"]
    }
    train_sweep(plan)
    changed = {path for path in times if path.stat().st_mtime_ns != times[path]}
    assert changed == {lost, runs / "counting" / worlds.EMPTY / "pooled-linear-seed0.json"}


def test_samples_of_trained_heads_on_features_of_controls_are_counted(cache: Cache, tmp_path: Path) -> None:
    sweep = replace(SWEEP, tasks=("counting",), points=(worlds.EMPTY,), heads=("mlp",), controls=())
    alone = plan_sweep(cache, sweep, tmp_path).samples
    assert plan_sweep(cache, replace(sweep, controls=("positions-only",)), tmp_path).samples > alone > 0


def test_the_sweep_s_own_pixels_are_the_control(cache: Cache, tmp_path: Path) -> None:
    sweep = replace(SWEEP, tasks=("counting",), points=(worlds.EMPTY, "pixels"), controls=("pixels",))
    found = by_name(train_sweep(plan_sweep(cache, sweep, tmp_path)))
    own = found["counting", "pixels"]
    assert found["counting", worlds.EMPTY].controls["pixels"].interval == own.value
    assert set(own.controls) == {MEAN_PREDICTOR}
    assert not (tmp_path / "controls").exists()


def test_a_twin_stands_beside_each_point(cache: Cache, tmp_path: Path) -> None:
    """Found by the samples' ids; of another twin the results would be others."""
    scene = scenes.write(tmp_path / "scenes", 96)
    twins = [scenes.write(tmp_path / name, 96, name=name) for name in ("one", "two")]
    sweep = Sweep(tasks=("counting",), points=("vit.*",), controls=("random-twin",), twin=twins[0].path, options=QUICK)
    found = by_name(train_sweep(plan_sweep(scene, sweep, tmp_path / "runs")))
    for point in ("vit.block_01", "vit.block_02"):
        beside = found["counting", point].controls["random-twin"]
        assert beside.interval == found["counting", point].value  # the same features, as it happens
        assert not beside.fails
    with pytest.raises(ProbeError, match="the result of another run, whose twin differed"):
        plan_sweep(scene, replace(sweep, twin=twins[1].path), tmp_path / "runs")


def test_a_control_without_a_target_on_a_side_is_left_out(cache: Cache, tmp_path: Path) -> None:
    """All samples of the validation split are of one group, so that there is no other to be asked of."""
    sweep = replace(SWEEP, tasks=("counting",), controls=("shuffled", "positions-only"))
    validation = plan_sweep(cache, sweep, tmp_path).split.validation
    groups = {row: cache.rows[row]["group"] for row in validation}
    try:
        for row in validation:
            cache.rows[row]["group"] = groups[validation[0]]
        pending = plan_sweep(cache, sweep, tmp_path).pending
    finally:
        for row, group in groups.items():
            cache.rows[row]["group"] = group
    names = {run.task for runs in pending.values() for run in runs}
    assert names == {"counting", "counting~positions-only"}


def test_controls_are_chosen_by_name() -> None:
    assert parse_sweep({"task": "boxes"}).sweep.controls == controls.names()
    assert parse_sweep({"task": "boxes", "controls": False}).sweep.controls == ()
    assert parse_sweep({"task": "boxes", "controls": ["shuffled", "pixels"]}).sweep.controls == ("shuffled", "pixels")
    with pytest.raises(UnknownName, match="unknown control 'shufled'; did you mean 'shuffled'"):
        parse_sweep({"task": "boxes", "controls": "shufled"})
    with pytest.raises(UsageError, match="the twin some/cache is a control, but controls are off"):
        parse_sweep({"task": "boxes", "controls": False, "twin": "some/cache"})


def test_a_control_that_was_scored_on_other_samples_fails_aloud(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for one whose metric is not defined."""
    make_result = point_runs.make_result

    def losing_a_sample(plan: SweepPlan, point: str, run: RunSpec, tested: Gathered, **facts: object) -> Result:
        fewer = Gathered()
        fewer.add(tested.rows[1:].tolist(), tested.scores[1:])
        is_control = bool(controls.parts(run.task)[1])
        return make_result(plan, point, run, fewer if is_control else tested, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(point_runs, "make_result", losing_a_sample)
    sweep = replace(SWEEP, tasks=("counting",), points=(worlds.EMPTY,), controls=("positions-only",))
    with pytest.raises(ProbeError, match="test samples"):
        train_sweep(plan_sweep(cache, sweep, tmp_path))
