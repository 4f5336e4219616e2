"""The door of notebooks gives what the command line gives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import foresight_cache
import foresight_probes
from foresight_cache.errors import ProbeError, UnknownName
from tests.support import scenes
from tests.support.command import FORESIGHT

CHOSEN = {"task": "counting", "points": "vit.block_01", "heads": "ridge,pooled-linear", "epochs": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "C")


def test_it_trains_what_the_command_trains(cache: "scenes.Cache", tmp_path: Path) -> None:
    runs = foresight_probes.train(cache.path, out=tmp_path / "here", **CHOSEN)
    options = [word for name, value in CHOSEN.items() for word in (f"--{name}", str(value))]
    command = [FORESIGHT, "train-probe", cache.path, *options, "--out", str(tmp_path / "there"), "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    timed = {"wall_seconds"}
    ours = json.loads(runs.table().drop(columns=[*timed]).to_json(orient="records"))
    theirs = [{name: row.get(name) for name in ours[0]} for row in rows]
    assert [row["run"] for row in ours] == [row["run"] for row in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other)


def test_what_is_there_is_kept_and_read_again(cache: "scenes.Cache", tmp_path: Path) -> None:
    first = foresight_probes.train(cache, out=tmp_path, **CHOSEN)
    again = foresight_probes.train(cache, out=tmp_path, **CHOSEN)
    assert [result.trained_now for result in first.results] == [True] * len(first.results)
    assert not any(result.trained_now for result in again.results)
    loaded = foresight_probes.load_runs(tmp_path)
    assert loaded.table(where=["head=ridge"]).head(1)["task"].tolist() == ["counting"]
    assert len(loaded.results) == len(first.results)
    assert "<table" in loaded._repr_html_()


def test_scores_join_with_samples(cache: "scenes.Cache", tmp_path: Path) -> None:
    """They are those that pandas reads of each run's file, with the metrics of each sample by hand."""
    runs = foresight_probes.train(cache, out=tmp_path, **CHOSEN)
    scores = runs.scores()
    for result in runs.results:
        own = scores[(scores["point"] == result.point) & (scores["run"] == result.run)]
        stored = pd.read_parquet(tmp_path / "counting" / result.point / f"{result.run}.parquet")
        assert own["id"].tolist() == stored["id"].tolist()
        for mine, theirs in zip(own["scores"], stored["scores"], strict=True):
            np.testing.assert_array_equal(mine, theirs)
        predicted, truth = np.stack(list(stored["scores"])).T
        np.testing.assert_allclose(own["mae"], abs(predicted - truth), rtol=1e-12)
        assert own["accuracy"].tolist() == (predicted.round() == truth).astype(float).tolist()
        assert own["accuracy"].mean() == pytest.approx(result.metrics["accuracy"].value)
        assert own["r2"].isna().all(), "one number has no variance"
    by_alias = foresight_probes.load_runs(tmp_path).scores(where=["head=ridge", "point=E2"])
    assert by_alias["id"].tolist() == runs.scores(where=["head=ridge"])["id"].tolist()
    joined = cache.samples.merge(runs.scores(where=["head=ridge"]), on="id")
    assert len(joined) == runs.results[0].split["test"]
    counts = joined["annotations"].map(lambda annotations: len(annotations["objects"]))
    assert counts.tolist() == joined["scores"].str[1].tolist()
    nothing = foresight_probes.Runs(()).scores()
    assert nothing.empty
    assert cache.samples.merge(nothing, on="id").empty
    with pytest.raises(UnknownName, match="head"):
        runs.scores(where=["haed=ridge"])


@pytest.mark.parametrize(("wrong", "nearest"), [({"epoch": 3}, "epochs"), ({"heads": "rigde"}, "ridge")])
def test_a_typo_gets_the_nearest_name(
    cache: "scenes.Cache", tmp_path: Path, wrong: dict[str, object], nearest: str
) -> None:
    with pytest.raises(UnknownName, match=nearest):
        foresight_probes.train(cache, out=tmp_path / "runs", **{**CHOSEN, **wrong})
    assert not (tmp_path / "runs").exists()


def test_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="holds no probe results"):
        foresight_probes.load_runs(tmp_path)


def test_versions_are_those_of_the_installed_package() -> None:
    listed = subprocess.run([sys.executable, "-m", "pip", "show", "foresight-cache"], capture_output=True, text=True)
    expected = next(line.split()[1] for line in listed.stdout.splitlines() if line.startswith("Version:"))
    assert foresight_cache.__version__ == foresight_probes.__version__ == expected
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = foresight_probes.trian  # type: ignore[attr-defined]
