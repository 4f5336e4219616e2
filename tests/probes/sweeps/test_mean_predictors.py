"""The mean predictor in a sweep: computed once for each task, by no option of training, and all others' chance."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import dummy

from foresight_cache.reader import Cache
from foresight_probes.controls.mean_predictor import CONSTANT, MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.targets import load_targets
from tests.support import scenes, worlds

OPTIONS = TrainingOptions(resamples=20, epochs=1, learning_rate=1e-6)


def constants(results: list[Result]) -> dict[str, Result]:
    return {result.task: result for result in results if result.point == MEAN_PREDICTOR}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    """Every object is of one category."""
    cache = scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)
    for row in cache.rows:
        for thing in row["annotations"]["objects"]:
            thing["category_id"] = 1
    return cache


def test_it_is_scikit_learn_s_and_what_others_are_compared_with(cache: "scenes.Cache", tmp_path: Path) -> None:
    names = ["counting", "hallucination"]
    found = train(cache, tasks=names, points=["vit.block_01"], seeds=[0, 1], out=tmp_path, options=OPTIONS)
    rows = [cache.rows[row] for row in load_targets(cache, names, OPTIONS).split.train]
    counts = [float(len(row["annotations"]["objects"])) for row in rows]
    yes = [int(row["annotations"]["qa"]["hallucinated"]) for row in rows]
    own = constants(found)
    assert [(result.head, result.seed) for result in own.values()] == [(CONSTANT, 0)] * 2
    mean = dummy.DummyRegressor().fit(np.zeros((len(rows), 1)), counts).predict([[0.0]])[0]
    assert [score.scores[0] for score in own["counting"].scores] == pytest.approx(
        [mean] * own["counting"].split["test"]
    )
    share = dummy.DummyClassifier(strategy="prior").fit(np.zeros((len(rows), 1)), yes).predict_proba([[0.0]])[0]
    for score in own["hallucination"].scores:
        assert score.scores[1] == pytest.approx(np.log(share[1] / share[0]), rel=1e-5)
    for result in found:
        assert result.chance == {name: each.value for name, each in own[result.task].metrics.items()}


def test_no_option_of_training_changes_it(cache: "scenes.Cache", tmp_path: Path) -> None:
    """Its file is the same but for the time that it took, whatever the others are trained with."""
    records, others = [], {"learning_rate": 0.1, "batch_size": 5, "weight_decay": 0.0, "shuffle_seed": 3}
    for number, options in enumerate((OPTIONS, TrainingOptions(resamples=20, epochs=3, **others))):  # type: ignore[arg-type]
        out = tmp_path / str(number)
        seeds = [number, number + 1]
        train(cache, tasks=["boxes"], points=["vit.*"], heads=["mlp"], seeds=seeds, out=out, options=options)
        record = json.loads((out / "boxes" / MEAN_PREDICTOR / "constant-seed0.json").read_text())
        records.append({name: value for name, value in record.items() if name != "wall_seconds"})
        assert [path.name for path in (out / "boxes" / MEAN_PREDICTOR).glob("*.json")] == ["constant-seed0.json"]
    assert records[0] == records[1]


def test_a_finished_one_is_not_computed_again(cache: "scenes.Cache", tmp_path: Path) -> None:
    for points, now in (["vit.block_01"], True), (["vit.block_02"], False):
        found = train(cache, tasks=["counting"], points=points, out=tmp_path, options=OPTIONS)
        assert constants(found)["counting"].trained_now is now


def test_where_targets_are_of_tokens_each_point_has_its_own(tmp_path: Path) -> None:
    """What the next frame is by the place alone is known without a look; of noise it is nothing."""
    cache: Cache = worlds.write_clips(tmp_path / "cache", 80)
    options = TrainingOptions(resamples=20, epochs=1)
    found = train(cache, tasks=["next-frame"], points=["vit.*"], out=tmp_path / "runs", options=options)
    assert constants(found) == {}
    chances = {result.point: result.chance for result in found}
    assert chances[worlds.EMPTY]["r2"] == pytest.approx(0, abs=0.1)
    assert chances[worlds.EMPTY]["mean_rank"] == pytest.approx(0.5, abs=0.1)
    # the last step is another in time than those that features are standardised by
    assert chances[worlds.INFORMATIVE]["r2"] > chances[worlds.EMPTY]["r2"] + 0.05


def test_classes_of_tokens_are_answered_for_each_grid(tmp_path: Path) -> None:
    cache = worlds.write_pictures(tmp_path / "cache", 60)
    options = TrainingOptions(resamples=20, epochs=1)
    points = [worlds.EMPTY, "pixels"]
    found = train(cache, tasks=["patch-class"], points=points, out=tmp_path / "runs", options=options)
    own = constants(found)["patch-class"]
    for result in found:
        assert result.chance == pytest.approx({name: each.value for name, each in own.metrics.items()})
