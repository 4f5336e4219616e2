"""Closed forms against scikit-learn, and as runs: selected on validation, in one pass."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import linear_model

from foresight_cache.errors import ProbeError, UsageError
from foresight_probes import tasks
from foresight_probes.features import datamodule as feature_data
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.options import TrainingOptions
from foresight_probes.results.checkpoints import load_weights
from foresight_probes.splits import resplit
from foresight_probes.sweeps import point_runs
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.tasks import TaskContext
from foresight_probes.training import logistic_regression
from foresight_probes.training.kept_rows import KeptRows
from foresight_probes.training.ridge_regression import NormalEquations
from tests.support import scenes

STRENGTHS = (1e-3, 0.1, 1.0, 10.0, 1e4)


def features(rows: int, width: int, seed: int = 0) -> np.ndarray:
    """Correlated channels of different scale, far from zero, as float32 features are when they come."""
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(rows, width)) @ generator.normal(size=(width, width)) / width**0.5
    return (mixed + generator.normal(size=width)).astype(np.float32).astype(np.float64)


def difference(found: torch.Tensor, expected: np.ndarray) -> float:
    """The largest, relative to the largest expected number."""
    return float(np.abs(found.numpy() - expected).max() / np.abs(expected).max())


def test_ridge_is_scikit_learn_s_for_every_strength_target_and_training_set() -> None:
    """Two problems on overlapping rows and one with targets of its own, streamed in pieces of seven rows."""
    x, generator = features(200, 24), np.random.default_rng(1)
    targets = [x @ generator.normal(size=(24, width)) + generator.normal(size=(200, width)) for width in (1, 1, 3)]
    taken = np.stack([generator.random(200) < share for share in (0.7, 0.5, 0.9)], axis=1)
    equations = NormalEquations(3)
    for first in range(0, 200, 7):
        rows = slice(first, first + 7)
        pieces = [torch.from_numpy(np.where(taken[rows, k, None], y[rows], np.nan)) for k, y in enumerate(targets)]
        equations.add(torch.from_numpy(x[rows]), torch.from_numpy(taken[rows]), pieces)
    for problem, (y, found) in enumerate(zip(targets, equations.solve(STRENGTHS), strict=True)):
        for strength, each in zip(STRENGTHS, found, strict=True):
            rows = taken[:, problem]
            reference = linear_model.Ridge(alpha=strength, solver="svd").fit(x[rows], y[rows])
            assert each.penalty == strength
            assert difference(each.weight, reference.coef_.reshape(each.weight.shape)) < 1e-6
            assert difference(each.bias, np.atleast_1d(reference.intercept_)) < 1e-6


@pytest.mark.parametrize("kind", [NormalEquations, KeptRows])
def test_ridge_with_more_channels_than_rows(kind: type[NormalEquations] | type[KeptRows]) -> None:
    """Three problems, of which two have rows of their own, streamed in pieces of seven rows."""
    x, generator = features(30, 50), np.random.default_rng(2)
    targets = [generator.normal(size=(30, width)) for width in (2, 1, 3)]
    taken = np.stack([np.ones(30, bool), generator.random(30) < 0.7, np.ones(30, bool)], axis=1)
    equations = kind(3)
    for first in range(0, 30, 7):
        rows = slice(first, first + 7)
        pieces = [torch.from_numpy(np.where(taken[rows, k, None], y[rows], np.nan)) for k, y in enumerate(targets)]
        equations.add(torch.from_numpy(x[rows]), torch.from_numpy(taken[rows]), pieces)
    for problem, (y, solutions) in enumerate(zip(targets, equations.solve(STRENGTHS), strict=True)):
        rows = taken[:, problem]
        for strength, each in zip(STRENGTHS, solutions, strict=True):
            reference = linear_model.Ridge(alpha=strength, solver="svd").fit(x[rows], y[rows])
            assert each.penalty == strength
            assert difference(each.weight, reference.coef_.reshape(each.weight.shape)) < 1e-6
            assert difference(each.bias, np.atleast_1d(reference.intercept_)) < 1e-6


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_regression_is_scikit_learn_s(classes: int) -> None:
    x, generator = features(150, 10), np.random.default_rng(3)
    y = (x @ generator.normal(size=(10, classes)) + generator.normal(size=(150, classes))).argmax(1)

    def chunks() -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.from_numpy(x[k : k + 40]), torch.from_numpy(y[k : k + 40])) for k in range(0, 150, 40)]

    solved = logistic_regression.solve(chunks, width=10, classes=classes, penalties=STRENGTHS, gradient=0.0)
    for strength, found in zip(STRENGTHS, solved, strict=True):
        scale = 2 if classes == 2 else 1
        reference = linear_model.LogisticRegression(
            C=scale / strength, solver="newton-cholesky", tol=1e-13, max_iter=1000
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its line search ends at the limit of rounding
            reference.fit(x, y)
        weight, bias = found.weight, found.bias
        if classes == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        assert found.penalty == strength
        assert difference(weight, reference.coef_) < 1e-6
        expected = reference.intercept_ - (reference.intercept_.mean() if classes > 2 else 0)
        assert difference(bias, expected) < 1e-6


def test_logistic_regression_ends_where_probabilities_no_longer_change() -> None:
    """On features of which some hardly vary, as those of models, with penalties that hardly count."""
    x, generator = features(200, 40), np.random.default_rng(4)
    x = x @ np.linalg.qr(generator.normal(size=(40, 40)))[0] * np.logspace(0, -3, 40) @ generator.normal(size=(40, 40))
    inputs, classes = torch.from_numpy(x), torch.from_numpy(generator.integers(0, 3, 200))
    steps = [0, 0]

    def chunks(kind: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        steps[kind] += 1
        return [(inputs, classes)]

    settings = {"width": 40, "classes": 3, "penalties": STRENGTHS}
    exact = logistic_regression.solve(lambda: chunks(0), gradient=0.0, **settings)
    usual = logistic_regression.solve(lambda: chunks(1), **settings)
    for one, other in zip(exact, usual, strict=True):
        likely, usually = ((inputs @ own.weight.T + own.bias).softmax(1) for own in (one, other))
        assert difference(usually, likely.numpy()) < 3e-4
    assert 1.5 * steps[1] < steps[0]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


OPTIONS = TrainingOptions(resamples=20, strengths=(0.1, 10.0, 1e3), epochs=2)


def test_a_closed_form_is_a_run_like_any_other(cache: "scenes.Cache", tmp_path: Path) -> None:
    """Every strength is fitted to the training split, one is selected on validation, and it meets the test split."""
    chosen = {"tasks": ["counting"], "points": ["vit.block_01"], "heads": ["ridge", "mlp"], "options": OPTIONS}
    found = {result.head: result for result in train(cache, out=tmp_path, **chosen)}["ridge"]
    split = load_targets(cache, ["counting"], OPTIONS).split
    task = tasks.load("counting", TaskContext(samples=cache.rows))
    data = FeatureData(open_source(cache, "vit.block_01"), split, {}, OPTIONS)
    standardise = data.standardization()
    x = {side: standardise(data.batch(getattr(split, side)).features).pooled.double().numpy() for side in split.sizes()}
    y = {side: np.array([len(cache.rows[r]["annotations"]["objects"]) for r in getattr(split, side)]) for side in x}
    models = [linear_model.Ridge(alpha=each).fit(x["train"], y["train"]) for each in OPTIONS.strengths]
    scores = [model.score(x["validation"], y["validation"]) for model in models]
    best = int(np.argmax(scores))
    assert found.validation["value"] == pytest.approx(scores[best], abs=1e-5)
    assert found.validation["strength"] == OPTIONS.strengths[best]
    assert found.metrics["r2"].value == pytest.approx(models[best].score(x["test"], y["test"]), abs=1e-5)
    weights, kept = load_weights(tmp_path / "counting" / "vit.block_01" / "ridge-seed0.safetensors", found.identity)
    spread = np.std(y["train"])  # the unit that heads predict in
    np.testing.assert_allclose(weights["linear.weight"][0].numpy(), models[best].coef_ / spread, rtol=1e-4, atol=1e-6)
    assert torch.equal(kept.pooled_mean, standardise.pooled_mean)
    assert task.primary == "r2"


def test_closed_forms_do_not_depend_on_company(cache: "scenes.Cache", tmp_path: Path) -> None:
    """Each seed trains on samples of its own, and finds what it finds alone."""
    chosen = {"tasks": ["counting"], "points": ["vit.block_01"], "heads": ["ridge"], "options": OPTIONS}
    together = train(cache, seeds=[0, 1, 2], out=tmp_path / "all", **chosen)
    for seed in (0, 1, 2):
        alone = train(cache, seeds=[seed], out=tmp_path / str(seed), **chosen)
        (expected,) = (result for result in alone if result.head == "ridge")
        (found,) = (result for result in together if (result.head, result.seed) == ("ridge", seed))
        assert [a.id for a in found.scores] == [b.id for b in expected.scores]
        for ours, theirs in zip(found.scores, expected.scores, strict=True):
            assert ours.scores == pytest.approx(theirs.scores, rel=1e-6)
    assert len({result.value.value for result in together if result.head == "ridge"}) == 3


def test_a_seed_divides_training_and_validation_anew_and_keeps_the_test_split(cache: "scenes.Cache") -> None:
    split = load_targets(cache, ["counting"], TrainingOptions()).split
    groups = [sample["group"] for sample in cache.rows]
    other = resplit(split, groups, 1)
    assert resplit(split, groups, 0) == split
    assert other.test == split.test
    assert sorted((*other.train, *other.validation)) == sorted((*split.train, *split.validation))
    assert len({frozenset(resplit(split, groups, seed).validation) for seed in (0, 1, 2)}) == 3
    assert abs(len(other.train) - len(split.train)) < 12


def test_logistic_regression_of_a_single_class_ends() -> None:
    """Its bias has no optimum; the class is likely, and the weights are finite."""
    inputs = torch.randn(30, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    pair = [(inputs, torch.full((30,), 2))]
    penalties = [10.0**exponent for exponent in range(-3, 7)]
    for found in logistic_regression.solve(lambda: pair, width=5, classes=4, penalties=penalties):
        assert found.weight.isfinite().all()
        assert found.bias.isfinite().all()
        logits = inputs @ found.weight.T + found.bias
        assert (logits.argmax(1) == 2).all()


def test_classes_are_told_by_logistic_regression(tmp_path: Path) -> None:
    """Of each token, whether it lies in a box, which its features say; and of the whole, which they do not."""
    cache = scenes.write(tmp_path / "cache", 96)
    for row in cache.rows:
        for number, each in enumerate(row["annotations"]["objects"]):
            each["category_id"] = number % 2 if len(row["annotations"]["objects"]) == 2 else 1
    chosen = {"points": ["vit.*"], "out": tmp_path / "runs", "options": OPTIONS}
    found = train(cache, tasks=["patch-class", "relation"], heads=["token-logistic", "logistic"], **chosen)
    by_run = {(result.task, result.point, result.head): result for result in found}
    informed = by_run["patch-class", "vit.block_01", "token-logistic"]
    empty = by_run["patch-class", "vit.block_02", "token-logistic"]
    assert informed.metrics["accuracy"].value > 0.95 > empty.metrics["accuracy"].value
    assert by_run["relation", "vit.block_01", "logistic"].metrics["accuracy"].value <= 1
    assert ("relation", "vit.block_01", "token-logistic") not in by_run


def test_a_seed_that_leaves_validation_without_a_question(tmp_path: Path) -> None:
    """Told as any other run that cannot be evaluated; the rest of the sweep is trained."""
    cache = scenes.write(tmp_path / "cache", 60)
    split = load_targets(cache, ["counting"], TrainingOptions()).split
    groups = [sample["group"] for sample in cache.rows]
    left_out = resplit(split, groups, 1).validation
    assert set(split.validation) - set(left_out)
    for number, row in enumerate(cache.rows):
        row["annotations"]["action"] = {} if number in left_out else {"class_id": number % 2}
    chosen = {"tasks": ["action"], "points": ["vit.block_01"], "heads": ["logistic"], "options": OPTIONS}
    with pytest.raises(ProbeError, match="accuracy of action/logistic-seed1 .* is not defined on the validation split"):
        train(cache, out=tmp_path / "runs", seeds=[0, 1], **chosen)
    assert (tmp_path / "runs/action/vit.block_01/logistic-seed0.json").exists()


def test_a_task_without_numbers_has_no_ridge(cache: "scenes.Cache", tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no head of ridge fits the task 'boxes'; use one of .*mlp"):
        train(cache, tasks=["boxes"], heads=["ridge"], out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_features_of_closed_forms_stay_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a GPU too: they are solved in float64 on the CPU."""
    cache = scenes.write(tmp_path / "cache", 40)
    for row in cache.rows:
        for each in row["annotations"]["objects"]:
            each["category_id"] = 1
    kept, asked = feature_data.residence, []

    def residence(size: int, options: TrainingOptions) -> torch.device | None:
        asked.append(options.device)
        return kept(size, options)

    monkeypatch.setattr(feature_data, "residence", residence)
    chosen = {"points": ["vit.block_01"], "out": tmp_path / "runs", "options": OPTIONS}
    train(cache, tasks=["patch-class"], heads=["conv-decoder", "token-logistic"], **chosen)
    *trained, closed = asked  # the first point with the view of the trained head, then the closed form
    assert (set(trained), closed) == ({"auto"}, "cpu")


def test_without_a_token_to_learn_from_all_classes_are_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a seed trains on images alone that nobody has looked at."""
    cache = scenes.write(tmp_path / "cache", 60)
    seed = 1
    groups = [row["group"] for row in cache.rows]
    train_rows = resplit(load_targets(cache, ["counting"], TrainingOptions()).split, groups, seed).train
    for number, row in enumerate(cache.rows):
        objects = [{**each, "category_id": 1} for each in row["annotations"]["objects"]]
        row["annotations"] = {} if number in train_rows else {"objects": objects}
    monkeypatch.setattr(point_runs, "or_constant", lambda fitted, *_: fitted)
    heads = ["token-linear", "token-logistic"]
    chosen = {"tasks": ["patch-class"], "points": ["vit.block_01"], "heads": heads, "seeds": [seed], "options": OPTIONS}
    found = [result for result in train(cache, out=tmp_path / "runs", **chosen) if result.head in heads]
    assert len(found) == 2
    for result in found:
        path = tmp_path / "runs/patch-class/vit.block_01" / f"{result.run}.safetensors"
        weights, _ = load_weights(path, result.identity)
        assert not weights["linear.weight"].any()
        assert len(set(weights["linear.bias"].tolist())) == 1
