"""Predictions that are made again have the scores that are stored, and the cache, split and weights of their run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.options import TrainingOptions
from foresight_probes.predictions import kept_scores as module
from foresight_probes.predictions.kept_run import Predicted, predict
from foresight_probes.predictions.kept_scores import kept_scores
from foresight_probes.results.result import Result, load_results, result_path
from foresight_probes.sweeps import point_runs
from foresight_probes.sweeps.run import train
from foresight_probes.training import candidates
from tests.support import scenes

QUICK = TrainingOptions(epochs=2, resamples=10, learning_rate=1e-3, patience=1, device="cpu")
POINT = "vit.block_01"
KEPT = (
    *(("boxes", "pooled-linear"), ("boxes", "token-linear")),
    *(("reconstruction", "token-linear"), ("patch-class", "token-linear")),
)


def letterboxed(cache: Cache) -> Cache:
    """The same samples as if their inputs had borders, with categories."""
    for row in cache.rows:
        row["fit"] = "letterbox"  # 200×100 pixels of the original in the middle of a square
        for number, thing in enumerate(row["annotations"]["objects"]):
            thing["category_id"] = 1 + number % 2
    return cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return letterboxed(scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 72))


@pytest.fixture(scope="module")
def runs(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "POOLED_INPUTS", ("leading-4",))
        patch.setattr(candidates, "TOKEN_INPUTS", ("channels",))
        patch.setattr(point_runs, "or_constant", lambda fitted, *_: fitted)  # heads are wanted, however bad
        for task in dict(KEPT):
            heads = [head for own, head in KEPT if own == task]
            train(cache, tasks=[task], points=[POINT], heads=heads, out=out, options=QUICK)
    return out


def of(runs: Path, task: str, head: str) -> Result:
    (found,) = (own for own in load_results(runs) if (own.task, own.head) == (task, head))
    return found


def require_same_scores(result: Result, predicted: Iterator[Predicted]) -> None:
    made = {own.sample["id"]: own.scores() for own in predicted}
    assert list(made) == [score.id for score in result.scores] or "folds" in result.split
    assert made.keys() == {score.id for score in result.scores}
    for score in result.scores:
        np.testing.assert_allclose(made[score.id], score.scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("task", "head"), KEPT)
def test_scores_are_those_of_the_evaluation(cache: Cache, runs: Path, task: str, head: str) -> None:
    result = of(runs, task, head)
    require_same_scores(result, predict(result, cache))


def test_some_samples_alone_are_predicted_as_all_are(cache: Cache, runs: Path) -> None:
    result = of(runs, "boxes", "token-linear")
    chosen = {result.scores[3].id, result.scores[1].id}
    found = list(predict(result, cache, chosen))
    assert [own.sample["id"] for own in found] == [result.scores[1].id, result.scores[3].id]
    assert all(cache.rows[own.row] is own.sample for own in found)
    np.testing.assert_allclose(found[0].scores(), result.scores[1].scores, atol=1e-4)


def test_of_folds_each_sample_is_predicted_by_the_head_that_did_not_see_it(tmp_path: Path) -> None:
    """Grids are of several sizes here, so that batches are padded."""
    cache = letterboxed(scenes.write(tmp_path / "cache", 48, ragged=True))
    options = TrainingOptions(folds=3, resamples=10)
    train(cache, tasks=["counting"], points=[POINT], heads=["ridge"], out=tmp_path / "runs", options=options)
    result = of(tmp_path / "runs", "counting", "ridge")
    assert len(result.scores) == 48
    require_same_scores(result, predict(result, cache))
    weights = result_path(tmp_path / "runs" / "folds" / "1", task="counting", point=POINT, run="ridge-seed0")
    weights.with_suffix(".safetensors").unlink()
    with pytest.raises(ProbeError, match=r"folds/1/.*safetensors is not there"):
        list(predict(result, cache))
    weights.unlink()
    with pytest.raises(ProbeError, match="only the heads of folds predict"):
        list(predict(result, cache))


def test_another_cache_is_refused(runs: Path, tmp_path: Path) -> None:
    other = scenes.write(tmp_path / "cache", 72, tars="b")
    with pytest.raises(ProbeError, match="boxes by .* was trained from another cache than"):
        list(predict(of(runs, "boxes", "token-linear"), other))


def test_kept_numbers_are_made_once_and_belong_to_their_run(
    cache: Cache, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, calls = of(runs, "boxes", "token-linear"), []

    def score(own: Predicted) -> np.ndarray:
        calls.append(own.row)
        return np.array([own.row, 0.5])

    first = kept_scores(result, cache, "rows", 1, score)
    path = runs / "boxes" / POINT / "token-linear-seed0.rows.parquet"
    content = path.read_bytes()
    assert len(calls) == len(result.scores) == len(first)
    assert [cache.rows[int(own.scores[0])]["id"] for own in first] == [own.id for own in result.scores]
    assert kept_scores(result, cache, "rows", 1, score) == first
    assert len(calls) == len(first)
    assert len(load_results(runs)) == len(KEPT) + 3  # the file is not taken for a result; 3 are mean predictors
    for broken in (b"", content[:-20], module._bound(content, b"0" * 64 + b" 1")):
        calls.clear()
        path.write_bytes(broken)
        assert kept_scores(result, cache, "rows", 1, score) == first
        assert path.read_bytes() == content
        assert len(calls) == len(first)
    calls.clear()
    kept_scores(result, cache, "rows", 2, score)
    assert calls
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(ProbeError, match="the weights of boxes by .* have a mean_iou of"):
        kept_scores(result, cache, "others", 1, score)
