"""Samples of several sizes: the heads that can take them are trained, and only those."""

import json
from pathlib import Path

import pytest

from tests.support import scenes
from tests.support.command import foresight, said

WORDS = ("--points", "vit.block_01", "--epochs", 1, "--device", "cpu", "--logger", "none", "--no-controls")


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(scenes.write(tmp_path_factory.mktemp("ragged") / "cache", 96, ragged=True).path)


@pytest.mark.parametrize(
    ("task", "heads"),
    [("reconstruction", {"token-linear", "conv-decoder"}), ("edges", {"token-linear", "conv-decoder"})],
)
def test_the_usual_heads_are_those_that_can(task: str, heads: set[str], ragged: Path, tmp_path: Path) -> None:
    run = foresight("train-probe", ragged, "--task", task, *WORDS, "--out", tmp_path / "runs", "--json")
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)
    assert {row["head"] for row in rows if row["point"] == "vit.block_01"} == heads
    assert {row["head"] for row in rows if row["point"] == "mean-predictor"} == {"constant"}


def test_a_head_that_cannot_is_refused_or_left_out_by_name(ragged: Path, tmp_path: Path) -> None:
    words = ("train-probe", ragged, "--task", "reconstruction", *WORDS, "--out", tmp_path / "runs")
    alone = said(*words, "--heads", "global-linear", status=2)
    assert "no head of global-linear fits the task 'reconstruction' on samples of several sizes; use one of " in alone
    assert "global-linear" not in alone.split("use one of ")[1]
    assert not (tmp_path / "runs").exists()
    both = foresight(*words, "--heads", "global-linear,token-linear")
    assert both.returncode == 0, both.stderr
    assert "left out: global-linear does not fit the task reconstruction" in both.stderr


def test_on_samples_of_one_size_it_is_a_usual_head(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 96)
    run = foresight("train-probe", cache.path, "--task", "reconstruction", *WORDS, "--out", tmp_path / "runs", "--json")
    assert run.returncode == 0, run.stderr
    assert "global-linear" in {row["head"] for row in json.loads(run.stdout)}
