"""Sweeps with folds and refits: against scikit-learn, on few samples, interrupted, and what their intervals count."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from foresight_cache.errors import ProbeError
from foresight_probes.calibration.warnings import calibration_warnings
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, load_result, load_results
from foresight_probes.splits import SIDES, folded, split_rows, without_part
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes
from tests.support.command import foresight

POINT = "vit.block_01"
SHARES = {"train_share": 0.7, "validation_share": 0.15}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 72)


def trained(cache: "scenes.Cache", out: Path, **options: int) -> Result:
    """The ridge regression of counts, without controls."""
    chosen = {"tasks": ["counting"], "points": [POINT], "heads": ["ridge"], "out": out}
    results = train(cache, options=TrainingOptions(resamples=200, **options), **chosen)
    (own,) = (result for result in results if result.head == "ridge")
    return own


def predicted(cache: "scenes.Cache", result: Result, train_rows: tuple[int, ...], rows: tuple[int, ...]) -> np.ndarray:
    """Counts by scikit-learn, with the strength that validation chose."""
    means = np.stack([cache[POINT][row].astype(np.float64).mean(0) for row in range(len(cache.rows))])
    counts = np.array([len(row["annotations"]["objects"]) for row in cache.rows], float)
    fitted = means[list(train_rows)]
    inputs = (means - fitted.mean(0)) / fitted.std(0)
    model = Ridge(alpha=result.validation["strength"]).fit(inputs[list(train_rows)], counts[list(train_rows)])
    found: np.ndarray = model.predict(inputs[list(rows)])
    return found


def test_folds_test_each_sample_once_as_scikit_learn_would(cache: "scenes.Cache", tmp_path: Path) -> None:
    pooled = trained(cache, tmp_path, folds=4)
    ids, groups = ([row[name] for row in cache.rows] for name in ("id", "group"))
    answers = np.full(len(ids), np.nan)
    for fold in range(4):
        split = folded(range(len(ids)), ids, groups, fold=fold, folds=4, **SHARES)
        own = load_result(tmp_path / f"folds/{fold}/counting/{POINT}/ridge-seed0.json")
        assert np.isnan(answers[list(split.test)]).all()
        answers[list(split.test)] = predicted(cache, own, split.train, split.test)
    counts = [len(row["annotations"]["objects"]) for row in cache.rows]
    assert pooled.value.value == pytest.approx(r2_score(counts, answers), abs=1e-6)
    assert sorted(score.id for score in pooled.scores) == sorted(ids)
    assert (pooled.split["test"], pooled.split["folds"], pooled.split["groups"]) == (72, 4, 72)
    assert pooled.value.low < pooled.value.value < pooled.value.high


def test_a_second_run_fits_nothing_and_says_the_same(cache: "scenes.Cache", tmp_path: Path) -> None:
    first = trained(cache, tmp_path, folds=3, refits=4)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    second = trained(cache, tmp_path, folds=3, refits=4)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == times
    assert second.metrics == first.metrics
    assert second.refits == first.refits
    assert len(first.refits["r2"]) == 4
    (shown,) = (result for result in load_results(tmp_path) if result.head == "ridge")  # of folds and refits none
    assert shown.value == first.value


def test_refits_are_heads_without_a_part_and_widen_the_interval(cache: "scenes.Cache", tmp_path: Path) -> None:
    plain, counting = trained(cache, tmp_path / "plain"), trained(cache, tmp_path / "counting", refits=4)
    ids, groups = ([row[name] for row in cache.rows] for name in ("id", "group"))
    whole = split_rows(range(len(ids)), ids, groups, **SHARES)
    counts = np.array([len(row["annotations"]["objects"]) for row in cache.rows])
    for part in range(4):
        split = without_part(whole, ids, groups, part=part, parts=4)
        own = load_result(tmp_path / f"counting/refits/{part:02d}/counting/{POINT}/ridge-seed0.json")
        answers = predicted(cache, own, split.train, split.test)
        assert counting.refits["r2"][part] == pytest.approx(r2_score(counts[list(split.test)], answers), abs=1e-6)
    assert counting.value.value == plain.value.value
    assert counting.value.high - counting.value.low > plain.value.high - plain.value.low
    assert plain.refits == {}


def test_folds_are_apart_and_parts_leave_each_group_out_once() -> None:
    groups = [f"group {number // 3}" for number in range(90)]
    ids = [f"id {number}" for number in range(90)]
    splits = [folded(range(90), ids, groups, fold=fold, folds=7, **SHARES) for fold in range(7)]
    assert sorted(row for split in splits for row in split.test) == list(range(90))
    for split in splits:
        named = [{groups[row] for row in split.rows(side)} for side in SIDES]
        assert sum(map(len, named)) == 30
        assert len(named[1]) == round(len(named[0] | named[1]) * 0.15 / 0.85)
    parts = [without_part(splits[0], ids, groups, part=part, parts=5) for part in range(5)]
    for side in ("train", "validation"):
        left_out = [row for part in parts for row in set(splits[0].rows(side)) - set(part.rows(side))]
        assert sorted(left_out) == sorted(splits[0].rows(side))
    assert {part.test for part in parts} == {splits[0].test}
    assert len({split.digest for split in [*splits, *parts]}) == 12


def test_fewer_groups_than_folds() -> None:
    with pytest.raises(ProbeError, match="3 groups of usable samples cannot be divided into 4 folds"):
        folded(range(3), ["a", "b", "c"], ["a", "b", "c"], fold=0, folds=4, **SHARES)


def test_four_samples_are_undecided_and_say_how_many_would_decide(tmp_path: Path) -> None:
    """The hash leaves a side empty; with folds there are numbers, which say that they decide nothing."""
    cache = scenes.write(tmp_path / "cache", 4)
    words = ["train-probe", str(cache.path), "--task", "boxes", "--points", "vit.*", "--heads", "pooled-linear"]
    words += ["--epochs", "1", "--no-controls", "--logger", "none"]
    refused = foresight(*words, "--out", tmp_path / "refused")
    assert refused.returncode != 0
    assert "4 usable samples in 4 groups are too few to put some on each side; use --folds 4, extract" in refused.stderr
    assert not (tmp_path / "refused").exists()
    done = foresight(*words, "--folds", "4", "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert all(line.endswith("n 4, undecided, too few groups: 4, needs about 50") for line in done.stdout.splitlines())
    words = ["compare", tmp_path / "runs", "--task", "boxes", "--out", tmp_path / "out", "--json"]
    sentence = json.loads(foresight(*words).stdout)["sentence"]
    assert sentence.startswith(
        "Undecided: the 4 test samples are worth 4 groups, and a verdict needs about 50, as of about 50 samples in all"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folds", "1"], "folds is 1, expected a whole number of at least 2"),
        (["--refits", "2"], "refits is 2, expected 0 or a whole number of at least 4"),
        (["--folds", "73"], "72 groups of usable samples cannot be divided into 73 folds"),
    ],
)
def test_mistakes(cache: "scenes.Cache", tmp_path: Path, words: list[str], said: str) -> None:
    run = foresight("train-probe", str(cache.path), "--task", "counting", *words, "--out", tmp_path / "runs")
    assert run.returncode != 0
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "runs").exists()


def test_instruments_are_warned_of_with_folds_as_without(cache: "scenes.Cache", tmp_path: Path) -> None:
    sweep = Sweep(tasks=("naive-boxes",), points=(POINT,), heads=("mlp",))
    plain = list(calibration_warnings(plan_sweep(cache, sweep, tmp_path)))
    folded_sweep = replace(sweep, options=TrainingOptions(folds=3))
    assert list(calibration_warnings(plan_sweep(cache, folded_sweep, tmp_path))) == plain
    assert len(plain) == 1
