"""Aliases of points among results, as `runs` and `compare` take them."""

import json
from pathlib import Path

import pytest

from tests.support import scenes
from tests.support.command import foresight

MODEL = {"taps": ["vit.patch_embed", "vit.block_01", "vit.block_02", "vit.pre_merge", "llm.layer_01"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model whose aliases E2 and E3 are both its first block, and whose second has none."""
    root = tmp_path_factory.mktemp("aliases")
    cache = scenes.write(root / "cache", 160, **MODEL)  # type: ignore[arg-type]
    words = ["--task", "counting", "--heads", "ridge", "--points", "vit.*", "--no-controls"]
    assert foresight("train-probe", cache.path, *words, "--out", root / "runs").returncode == 0
    return root / "runs"


def rows(runs: Path, *words: object) -> list[dict[str, object]]:
    shown = foresight("runs", runs, "--json", *words)
    assert shown.returncode == 0, shown.stderr
    found: list[dict[str, object]] = json.loads(shown.stdout)
    return found


def test_a_row_is_found_by_its_alias(runs: Path) -> None:
    alias = {row["point"]: row["alias"] for row in rows(runs)}
    assert alias["vit.block_01"] == "E2"
    assert alias["mean-predictor"] is alias["vit.block_02"] is None
    assert {row["point"] for row in rows(runs, "--where", "point=E2")} == {"vit.block_01"}
    assert {row["point"] for row in rows(runs, "--where", "point!=E2")} == {"vit.block_02", "mean-predictor"}
    assert {row["point"] for row in rows(runs, "--where", "point=vit.*")} == {"vit.block_01", "vit.block_02"}


def test_points_are_compared_with_one_by_its_alias(runs: Path, tmp_path: Path) -> None:
    words = ["--task", "counting", "--json", "--out"]
    by_alias = foresight("compare", runs, "--against", "E2", *words, tmp_path / "a")
    by_name = foresight("compare", runs, "--against", "vit.block_01", *words, tmp_path / "b")
    assert by_alias.returncode == by_name.returncode == 0, by_alias.stderr
    assert json.loads(by_alias.stdout)["points"] == json.loads(by_name.stdout)["points"]
    unknown = foresight("compare", runs, "--against", "E7", *words, tmp_path / "c")
    assert unknown.returncode == 2
    assert "unknown point 'E7'" in unknown.stderr
