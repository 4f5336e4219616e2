"""`foresight data-curve`: its table, figure and mistakes."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support import scenes
from tests.support.command import foresight, said


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96).path)


WORDS = ("--task", "counting,hallucination", "--points", "vit.block_01", "--heads", "pooled-linear", "--halvings", "2")


def test_a_table_and_a_figure(cache: Path, tmp_path: Path) -> None:
    run = foresight("data-curve", cache, *WORDS, "--out", tmp_path, "--json")
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)["rows"]
    counting, hallucination = ([row for row in rows if row["task"] == task] for task in ("counting", "hallucination"))
    assert [row["train"] for row in counting] == sorted({row["train"] for row in counting})
    assert len(counting) == 3
    assert [row["bits"] is None for row in counting] == [True] * 3  # numbers have no code
    assert hallucination[-1]["coded"] == hallucination[-1]["train"] + hallucination[-1]["validation"]
    assert 0.5 < hallucination[-1]["compression"] < 1.5  # nothing tells the answer
    with (tmp_path / "data_curve.csv").open(newline="") as file:
        assert [float(row["value"]) for row in csv.DictReader(file)] == [row["value"] for row in rows]
    with Image.open(tmp_path / "data_curve.png") as image:
        assert min(image.size) > 400
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    again = foresight("data-curve", cache, *WORDS, "--out", tmp_path)
    assert again.stdout.splitlines()[0].split()[:4] == ["task", "point", "run", "train"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == times


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--task", "countin"), "unknown task 'countin'; did you mean 'counting'"),
        (("--task", "counting", "--points", "vit.block_09"), "unknown extraction point 'vit.block_09'"),
        (("--task", "counting", "--halvings", "0"), "Invalid value for '--halvings'"),
    ],
)
def test_mistakes(cache: Path, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in said("data-curve", cache, *words, "--out", tmp_path / "out", status=2)
    assert not (tmp_path / "out").exists()
