"""From a planted cache to results: information that is there is found, and what is not there is not."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache.errors import ProbeError, UnknownName, UsageError
from foresight_probes.controls.mean_predictor import CONSTANT, MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, load_results
from foresight_probes.splits import resplit
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train, train_sweep
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.training import search
from tests.support import scenes

QUICK = TrainingOptions(epochs=2, resamples=50)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 160)


@pytest.fixture(scope="module")
def results(cache: "scenes.Cache", tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    found = train(
        cache, tasks=["boxes"], out=tmp_path_factory.mktemp("runs"), options=TrainingOptions(epochs=10, resamples=300)
    )
    return {(result.point, result.head): result for result in found}


def test_planted_boxes_are_found(results: dict[tuple[str, str], Result]) -> None:
    found = results["vit.block_01", "token-linear"]
    assert found.value.value > 0.75
    assert found.value.low > found.chance["mean_iou"] + 0.3
    assert found.metrics["share_above_0.5"].value > 0.85


def test_without_information_a_head_is_at_chance(results: dict[tuple[str, str], Result]) -> None:
    for head in ("pooled-linear", "mlp", "token-linear"):
        found = results["vit.block_02", head]
        assert found.value.value < found.chance["mean_iou"] + 0.1, head


def test_pooling_throws_positions_away(results: dict[tuple[str, str], Result]) -> None:
    """The same features: what a token knows of its own place is gone in the mean over tokens."""
    assert results["vit.block_01", "token-linear"].value.low > results["vit.block_01", "pooled-linear"].value.high + 0.2


def test_chance_is_the_mean_predictor(results: dict[tuple[str, str], Result]) -> None:
    constant = results[MEAN_PREDICTOR, CONSTANT]
    assert {result.chance["mean_iou"] for result in results.values()} == {constant.value.value}
    assert constant.point_index == -1
    assert 0.05 < constant.value.value < 0.4


def test_results_are_in_the_order_of_computation(results: dict[tuple[str, str], Result]) -> None:
    points = list(dict.fromkeys(point for point, _ in results))
    assert points == [MEAN_PREDICTOR, "vit.block_01", "vit.block_02", "pixels"]


def test_a_result_says_where_it_comes_from(results: dict[tuple[str, str], Result], cache: "scenes.Cache") -> None:
    found = results["vit.block_01", "token-linear"]
    assert found.cache["digest"] == cache.digest
    assert found.cache["model"]["weights"] == "random"
    assert found.split["train"] + found.split["validation"] + found.split["test"] == 160
    assert len(found.scores) == found.split["test"]
    assert found.learning_rate == found.validation["learning_rate"]
    assert round(found.learning_rate / 0.02, 6) in (0.3, 1.0, 3.0)
    assert found.parameters == 12 * 5 + 5
    assert found.bytes_read == 160 * 64 * scenes.WIDTH * 2  # all of it, once, as it is kept in memory
    samples = cache.samples.set_index("id")
    for score in found.scores:
        assert samples.loc[score.id, "group"] == score.group
        assert len(score.scores) == len(samples.loc[score.id, "annotations"]["objects"])


def test_scrambled_tokens_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same features in another order within each image: the instrument must not read them as well."""
    informative = scenes.informative
    monkeypatch.setattr(scenes, "informative", lambda index, grid: informative(index, grid)[::-1])
    cache = scenes.write(tmp_path / "cache", 160)
    found = train(cache, tasks=["boxes"], points=["vit.block_01"], heads=["token-linear"], out=tmp_path / "runs")
    assert found[1].value.value < found[1].chance["mean_iou"] + 0.1


def test_a_second_run_trains_what_is_missing(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = {"tasks": ["boxes"], "points": ["vit.*"], "heads": ["linear"], "out": tmp_path, "options": QUICK}
    first = train(cache, **chosen)
    assert len(first) == 5
    assert all(result.trained_now for result in first)
    (tmp_path / "boxes" / "vit.block_02" / "token-linear-seed0.json").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    sweep = Sweep(tasks=("boxes",), points=("vit.*",), heads=("linear",), options=QUICK)
    pending = plan_sweep(cache, sweep, tmp_path).pending
    assert {point: list(map(str, runs)) for point, runs in pending.items()} == {
        "vit.block_02": ["boxes/token-linear-seed0"]
    }
    second = train(cache, **chosen)
    assert [(result.point, result.head) for result in second if result.trained_now] == [
        ("vit.block_02", "token-linear")
    ]
    assert {path: path.read_bytes() for path in before} == before
    assert [result.scores for result in first] == [result.scores for result in second]
    assert len(load_results(tmp_path)) == 5


def test_results_of_another_recipe_or_cache_are_not_replaced(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = {"tasks": ["boxes"], "points": ["vit.block_01"], "heads": ["token-linear"], "out": tmp_path / "runs"}
    train(cache, options=QUICK, **chosen)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(
        ProbeError, match=r"is the result of another run, whose epochs differed; write to another --out"
    ):
        train(cache, options=TrainingOptions(epochs=3, resamples=50), **chosen)
    other = scenes.write(tmp_path / "other", 160, weights="pretrained")
    with pytest.raises(ProbeError, match=r"is the result of another run, whose cache differed; write to another --out"):
        train(other, options=QUICK, **chosen)
    same_ids = scenes.write(tmp_path / "same", 160, tars="b")
    with pytest.raises(ProbeError, match=r"is the result of another run, whose data differed; write to another --out"):
        train(same_ids, options=QUICK, **chosen)
    more = scenes.write(tmp_path / "more", 170)
    with pytest.raises(
        ProbeError, match=r"is the result of another run, whose data, split differed; write to another --out"
    ):
        train(more, options=QUICK, **chosen)
    assert {path: path.read_bytes() for path in before} == before


def test_options_without_effect_do_not_train_again(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = {"tasks": ["boxes"], "points": ["vit.block_01"], "heads": ["token-linear"], "out": tmp_path}
    train(cache, options=QUICK, **chosen)
    again = train(cache, options=TrainingOptions(epochs=2, resamples=50, resident="none"), **chosen)
    assert not any(result.trained_now for result in again)


def test_ragged_samples_and_bad_ones(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 100, ragged=True, bad=(3, 50))
    found = train(
        cache, tasks=["boxes"], points=["vit.block_01"], heads=["token-linear"], out=tmp_path / "runs", options=QUICK
    )
    split = found[1].split
    assert split["train"] + split["validation"] + split["test"] == 98
    assert "scenes/train/0003" not in {score.id for score in found[1].scores}


@pytest.mark.parametrize(("points", "heads"), [("vit.block_01", ("mlp",)), ("vit.*", ("linear", "mlp"))])
def test_progress_counts_every_training_sample(
    cache: "scenes.Cache", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, points: str, heads: tuple[str, ...]
) -> None:
    """All rounds of runs that do not converge, candidates of a view together; fewer where they do."""
    sweep = Sweep(tasks=("boxes",), points=(points,), heads=heads, options=QUICK)

    def trained(out: Path) -> tuple[int, int, int]:
        seen: list[tuple[int, int]] = []
        plan = plan_sweep(cache, sweep, out)
        train_sweep(plan, advance=lambda samples, size: seen.append((samples, size)))
        return plan.samples, sum(samples for samples, _ in seen), sum(size for _, size in seen)

    planned, seen, size = trained(tmp_path / "usual")
    assert len(cache.rows) / 2 < seen <= planned
    assert size >= seen * 4 * scenes.WIDTH
    monkeypatch.setattr(search, "TOLERANCE", -math.inf)
    planned, seen, _ = trained(tmp_path / "endless")
    if heads == ("mlp",):  # one epoch of all candidates, then five rounds of two
        split = plan_sweep(cache, sweep, tmp_path / "third").split
        assert seen == planned == (1 + 5 * 2) * len(split.train)
    assert seen <= planned


@pytest.mark.parametrize("resident_bytes", [2**30, 0])
@pytest.mark.parametrize(
    ("task", "heads"),
    [
        ("counting", ("ridge",)),
        ("patch-class", ("token-logistic",)),
        ("patch-class", ("token-linear",)),
        ("counting", ("ridge", "pooled-linear", "mlp")),
    ],
)
def test_closed_forms_report_what_the_plan_counts(
    tmp_path: Path, task: str, heads: tuple[str, ...], resident_bytes: int
) -> None:
    """Whether logistic regression reads its rows once or in every step; each penalty of it is a step of the bar."""
    cache = scenes.write(tmp_path / "cache", 40)
    for number, row in enumerate(cache.rows):
        for thing in row["annotations"]["objects"]:
            thing["category_id"] = 1 + number % 2
    options = replace(QUICK, strengths=(1.0, 100.0, 1e4), resident_bytes=resident_bytes)
    sweep = Sweep(tasks=(task,), points=("vit.*",), heads=heads, seeds=(0, 1), options=options)
    plan, seen = plan_sweep(cache, sweep, tmp_path / "runs"), list[tuple[int, int]]()
    train_sweep(plan, advance=lambda samples, size: seen.append((samples, size)))
    counted = sum(samples for samples, _ in seen)
    assert (0 < counted <= plan.samples) if "mlp" in heads else (counted == plan.samples > 0)
    if heads == ("token-logistic",):
        groups = [row["group"] for row in cache.rows]
        steps = {len(resplit(plan.split, groups, seed).train) for seed in (0, 1)}
        points, seeds, penalties = len(cache.select(["vit.*"])), 2, 3
        assert sum(samples in steps and size == 0 for samples, size in seen) == points * seeds * penalties


def test_seeds_give_runs_of_their_own(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = {"points": ["pixels"], "heads": ["conv-decoder"], "out": tmp_path, "options": QUICK}
    found = train(cache, tasks=["boxes"], seeds=[0, 1], **chosen)
    assert [(result.point, result.seed) for result in found] == [
        (MEAN_PREDICTOR, 0),
        *(("pixels", seed) for seed in (0, 1)),
    ]
    assert found[1].scores != found[2].scores


def test_wrong_names(cache: "scenes.Cache", tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown task 'boxs'; did you mean 'boxes'"):
        train(cache, tasks=["boxs"], out=tmp_path)
    with pytest.raises(UnknownName, match="unknown head 'lin'"):
        train(cache, tasks=["boxes"], heads=["lin"], out=tmp_path)
    with pytest.raises(UnknownName, match=r"did you mean 'vit.block_01'"):
        train(cache, tasks=["boxes"], points=["vit.block_1"], out=tmp_path)
    with pytest.raises(UsageError, match="no task was named"):
        train(cache, tasks=[], out=tmp_path)
    with pytest.raises(UsageError, match="no seed was named"):
        train(cache, tasks=["boxes"], seeds=[], out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_few_samples(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 4)
    with pytest.raises(ProbeError, match=r"the (validation|test) split is empty: 4 usable samples in 4 groups"):
        train(cache, tasks=["boxes"], out=tmp_path / "runs")


def test_no_annotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    for row in cache.rows:
        row["annotations"] = {}
    with pytest.raises(
        ProbeError, match=r"no sample of the train split has an annotation for the task 'boxes' \(0 of 40"
    ):
        train(cache, tasks=["boxes"], out=tmp_path / "runs")


@pytest.mark.parametrize("task", ["boxes", "counting", "detection"])
def test_objects_that_are_all_crowds_are_not_called_absent(tmp_path: Path, task: str) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    objects = [thing for row in cache.rows for thing in row["annotations"]["objects"]]
    for thing in objects:
        thing.update(crowd=True, category="disc", category_id=1, area=9.0)
    with pytest.raises(ProbeError) as caught:
        train(cache, tasks=[task], out=tmp_path / "runs")
    assert str(caught.value).startswith(
        f"no sample of the train split has an annotation for the task {task!r} (0 of 40 samples have one): all "
        f"{len(objects)} objects are crowds (iscrowd 1), which it leaves out; tools write iscrowd 1 for brush masks"
    )


def test_scenes_without_an_object_are_none_to_detect(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    for row in cache.rows:
        row["annotations"]["objects"].clear()
    with pytest.raises(ProbeError, match=r"\(0 of 40 samples have one\); extract samples that are annotated for it"):
        train(cache, tasks=["detection"], out=tmp_path / "runs")


def test_a_damaged_result_stops_with_its_name(cache: "scenes.Cache", tmp_path: Path) -> None:
    chosen = {"tasks": ["boxes"], "points": ["vit.block_01"], "heads": ["token-linear"], "out": tmp_path}
    train(cache, options=QUICK, **chosen)
    path = tmp_path / "boxes" / "vit.block_01" / "token-linear-seed0.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ProbeError, match=r"token-linear-seed0.json is damaged, it is not JSON .*; remove it"):
        train(cache, options=QUICK, **chosen)
    record = json.loads((tmp_path / "boxes" / MEAN_PREDICTOR / "constant-seed0.json").read_text())
    assert record["point"] == MEAN_PREDICTOR
