"""What stands in one table was made alike, and what is no result is passed over."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.results.comparable import require_comparable
from foresight_probes.results.result import load_results, result_path, save_result
from tests.probes.results.test_results import result
from tests.support.command import foresight, said

OPTIONS = dict(result().options)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": {**OPTIONS, "epochs": 77}}, "different options (epochs "),
        ({"options": {**OPTIONS, "resamples": 7}}, "different options (resamples "),
        ({"options": {**OPTIONS, "folds": 4}}, "different options (folds 4 and None)"),
        ({"options": {**OPTIONS, "refits": 10}}, "different options (refits 10 and 0)"),
        ({"split": {**result().split, "digest": "another"}}, "different splits ("),
        ({"cache": {**result().cache, "data": "another"}}, "different prepared datasets ("),
        ({"cache": {**result().cache, "digest": "another"}}, "different caches ("),
    ],
)
def test_rows_that_differ_are_refused_by_name(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    save_result(result(), tmp_path / "runs")
    save_result(result(**{"point": "llm.layer_09", **change}), tmp_path / "runs")
    with pytest.raises(ProbeError, match="may not stand beside each other|more than one cache") as error:
        require_comparable(load_results(tmp_path / "runs"))
    assert words in str(error.value)
    assert "Traceback" not in said("report", tmp_path / "runs", "--out", tmp_path / "report", status=1)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"options": {**OPTIONS, "learning_rate": 0.5}, "run": "mlp-lr0.5-seed0"},
        {"options": {**OPTIONS, "device": "cuda"}},
        {"seed": 3},
        {"task": "counting", "options": {**OPTIONS, "epochs": 77}},
    ],
)
def test_rows_of_grids_devices_seeds_and_tasks_may_stand_together(change: dict[str, Any]) -> None:
    require_comparable([result(), result(**{"point": "llm.layer_09", **change})])


@pytest.mark.parametrize(
    "name",
    ["._mlp-seed0.json", ".ipynb_checkpoints/mlp-seed0-checkpoint.json", ".Trash/boxes/vit.block_01/mlp-seed0.json"],
)
def test_hidden_files_are_passed_over(tmp_path: Path, name: str) -> None:
    path = save_result(result(), tmp_path)
    hidden = (tmp_path if name.startswith(".Trash") else path.parent) / name
    hidden.parent.mkdir(parents=True, exist_ok=True)
    hidden.write_bytes(b"\x00\x05\x16\x07\x00\x02")
    assert [own.run for own in load_results(tmp_path, remark=pytest.fail)] == [result().run]


@pytest.mark.parametrize("name", ["{} (conflicted copy)", "{} 2", "Copy of {}"])
def test_a_copy_of_a_run_counts_once_and_is_told(tmp_path: Path, name: str) -> None:
    path = save_result(result(), tmp_path)
    for suffix in (".json", ".parquet"):
        shutil.copy(path.with_suffix(suffix), path.with_name(name.format(path.stem) + suffix))
    told: list[str] = []
    assert len(load_results(tmp_path, remark=told.append)) == 1
    (sentence,) = told
    assert sentence.startswith(
        f"{path.with_name(name.format(path.stem))}.json is left out: it holds {result().run} for"
    )
    run = foresight("runs", tmp_path)
    assert run.stderr.count("is left out") == 1
    assert len(run.stdout.splitlines()) == 2


def test_a_result_in_the_folder_of_another_point_is_told(tmp_path: Path) -> None:
    path = save_result(result(), tmp_path)
    moved = result_path(tmp_path, task=result().task, point="vit.block_31", run=result().run)
    moved.parent.mkdir(parents=True)
    for suffix in (".json", ".parquet"):
        shutil.copy(path.with_suffix(suffix), moved.with_suffix(suffix))
    with pytest.warns(UserWarning, match=r"vit.block_31.* is left out: it holds"):
        assert len(load_results(tmp_path)) == 1
