"""Every task, and every way in which two of its rows can differ: shown with that named, or refused by name."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foresight_probes import tasks
from foresight_probes.controls.mean_predictor import CONSTANT, MEAN_PREDICTOR
from foresight_probes.options import EXECUTION_FIELDS, TrainingOptions
from foresight_probes.results.result import VERSION, Result, load_results, result_path, save_result
from foresight_probes.statistics.interval import Interval
from tests.probes.results.test_results import result
from tests.support.command import foresight

OTHER: dict[str, Any] = {
    **{"epochs": 31, "batch_size": 63, "train_share": 0.6, "validation_share": 0.2, "folds": 3, "refits": 5},
    **{"shuffle_seed": 9, "shuffle_shards": 3, "patience": 2, "strengths": [1.0], "column": "scene"},
    **{"perceptual_weight": 0.5, "resamples": 7, "confidence": 0.9},
}
"""Another value of each option on which a number depends; that of a grid is a row's own."""
GRIDS = ("learning_rate", "weight_decay")


def rows(task: str) -> tuple[Result, Result]:
    """Two points of a task, with all metrics that it has."""
    metrics = {name: Interval(0.5, 0.4, 0.6) for name in tasks.load(task).metric_names}
    facts = {"task": task, "primary": next(iter(metrics)), "metrics": metrics, "breakdown": {}, "controls": {}}
    chance = dict.fromkeys(metrics, 0.1)
    options = TrainingOptions().to_json()
    first = result(**facts, chance=chance, options=options, point="vit.block_01", head="mlp", run="mlp-seed0")
    return first, replace(first, point="llm.layer_09")


def optioned(name: str) -> Callable[[Result], Result]:
    return lambda own: replace(own, options={**own.options, name: OTHER[name]})


def measured_less(own: Result) -> Result:
    """A metric that could not be measured then."""
    name = list(own.metrics)[-1]
    kept = {metric: value for metric, value in own.metrics.items() if metric != name}
    return replace(own, metrics=kept, not_measured={name: "Its weights were not there."})


REFUSED: dict[str, tuple[Callable[[Result], Result], str]] = {
    **{name: (optioned(name), f"different options ({name} ") for name in OTHER},
    "split": (lambda own: replace(own, split={**own.split, "digest": "another"}), "different splits ("),
    "cache": (lambda own: replace(own, cache={**own.cache, "digest": "another"}), "more than one cache ("),
    "data": (lambda own: replace(own, cache={**own.cache, "data": "another"}), "different prepared datasets ("),
    "primary": (lambda own: replace(own, primary=list(own.metrics)[-1]), "different first metrics ("),
}


def test_every_option_is_asked() -> None:
    names = {field.name for field in dataclasses.fields(TrainingOptions)}
    assert names == {*OTHER, *GRIDS, *EXECUTION_FIELDS}


def written(folder: Path, *results: Result) -> Path:
    for own in results:
        save_result(own, folder)
    return folder


def refused(*words: object) -> str:
    run = foresight(*words)
    assert run.returncode == 1, run.stdout
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("foresight: ")]
    return line


@pytest.mark.parametrize(
    ("task", "difference"),
    [
        (task, difference)
        for task in tasks.names()
        for difference in REFUSED
        if difference != "primary" or len(tasks.load(task).metric_names) > 1  # one metric is always the first
    ],
)
def test_rows_that_were_made_in_other_ways_are_refused_by_name(task: str, difference: str, tmp_path: Path) -> None:
    change, words = REFUSED[difference]
    first, second = rows(task)
    runs = written(tmp_path / "runs", first, change(second))
    said = refused("report", runs, "--out", tmp_path / "report")
    assert words in said
    assert task in said or difference == "cache"
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("task", tasks.names())
def test_a_row_of_another_version_is_refused_by_name(task: str, tmp_path: Path) -> None:
    first, second = rows(task)
    runs = written(tmp_path / "runs", first, second)
    path = result_path(runs, task=task, point=second.point, run=second.run)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": VERSION - 1}))
    for words in (
        ("report", runs, "--out", tmp_path / "out"),
        ("runs", runs),
        ("compare", runs, "--task", task, "--out", tmp_path / "c"),
    ):
        assert f"is a probe result of version {VERSION - 1}, expected {VERSION}" in refused(*words)


@pytest.mark.parametrize("task", tasks.names())
def test_what_a_row_may_have_of_its_own_is_shown_with_it(task: str, tmp_path: Path) -> None:
    """Seeds, heads, step sizes of a grid, devices, and metrics that could not be measured."""
    first, second = rows(task)
    step = replace(second, run="mlp-lr0.5-seed0", options={**second.options, "learning_rate": 0.5}, learning_rate=0.5)
    every = [
        first,
        second,
        replace(second, point="llm.layer_10", seed=7, run="mlp-seed7"),
        replace(step, point="llm.layer_11"),
        replace(second, point="llm.layer_12", options={**second.options, "device": "cuda"}),
        *([replace(measured_less(second), point="llm.layer_13")] if len(first.metrics) > 1 else []),
        replace(second, point=MEAN_PREDICTOR, head=CONSTANT, run="constant-seed0", point_index=-1),
    ]
    runs = written(tmp_path / "runs", *every)
    assert len(load_results(runs)) == len(every)
    shown = foresight("report", runs, "--out", tmp_path / "report")
    assert shown.returncode == 0, shown.stderr
    page = (tmp_path / "report" / "report.md").read_text()
    for own in every:
        assert own.point in page
    assert " 7 |" in page, "a seed stands beside the rows"
    assert "0.5" in page
    if len(first.metrics) > 1:
        assert "was not measured at llm.layer_13: Its weights were not there." in page
