"""`foresight study NAME --demo`: the criteria of the study by cheaper runs, from nothing to the report, and again."""

import dataclasses
import json
import re
from datetime import date
from pathlib import Path

import pytest

from foresight_probes import heads, tasks
from foresight_probes.calibration.validity import NEUTRAL_OPTIONS
from foresight_probes.report.study import write_study
from foresight_probes.studies.planning import Settings
from foresight_probes.studies.running import Carried, carry_out
from foresight_probes.training.solvers import solver_of
from pipelines import studies
from pipelines.study_demo.cheaper_study import demo_study
from pipelines.study_demo.demo import plan_demo
from pipelines.study_demo.drawn_caches import Scale
from tests.support.command import said
from tests.support.planted_study import STUDY, study_file

NAMES = ("c1", "pivot1", "q2")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_name_digest_and_runs_is_changed(name: str) -> None:
    own, demo = studies.load(name), demo_study(studies.load(name))
    changed = {field.name for field in dataclasses.fields(own) if getattr(own, field.name) != getattr(demo, field.name)}
    assert changed == {"name", "title", "digest", "runs"}
    assert list(own.claims()) == list(demo.claims())
    assert own.runs.keys() == demo.runs.keys()


@pytest.mark.parametrize("name", NAMES)
def test_of_runs_tasks_and_points_stay_and_recipes_too(name: str) -> None:
    """Of options those change that a calibration holds for, but for capacity heads, which are told apart."""
    study = studies.load(name)
    cheaper = demo_study(study)
    for group, own in study.runs.items():
        demo = cheaper.runs[group]
        assert (own.dataset, own.tasks, own.points) == (demo.dataset, demo.tasks, demo.points)
        assert own.heads is None or set(demo.heads or ()) <= set(heads.resolve(own.heads))
        before, after = own.options.to_json(), demo.options.to_json()
        changed = {option for option in before.keys() | after.keys() if before.get(option) != after.get(option)}
        allowed = {"epochs", "learning_rate"} if group == "capacity" else set()
        assert changed <= set(NEUTRAL_OPTIONS) | allowed


@pytest.mark.parametrize("name", NAMES)
def test_each_criterion_still_has_heads_and_solved_ones_their_controls(name: str) -> None:
    own = studies.load(name)
    demo = demo_study(own)
    for criterion in own.criteria.values():
        measure = own.measures.get(criterion.measure)
        if measure is None or measure.is_bytes:
            continue
        group = demo.runs[measure.runs]
        assert set(measure.heads or ()) <= set(group.heads or ())
        task = tasks.load(measure.task)
        assert any(head in (group.heads or ()) for head in measure.heads or task.heads)
    trained = {
        group
        for group, runs in demo.runs.items()
        if any(solver_of(tasks.load(task), head) is None for task in runs.tasks for head in runs.heads or ())
    }
    assert {group for group, runs in demo.runs.items() if not runs.controls} <= trained


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("q2", "--demo"), "no folder was named; give one for the runs and the report"),
        (("q2", "--demo", "--cache", "c", "--out", "o"), "--demo makes caches of its own, so that --cache does not go"),
        (("q2", "--demo", "--dry-run"), "--demo makes caches of its own, so that --dry-run does not go with it"),
        (("list", "--demo"), "'study list' takes nothing behind it"),
    ],
)
def test_wrong_words_are_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    text = said("study", *words, status=2)
    assert sentence in text
    assert text.count("\n") == 1


def test_a_dataset_that_nothing_is_drawn_for(tmp_path: Path) -> None:
    path = study_file(tmp_path, STUDY.replace("dataset: ssv2", "dataset: haloquest"))
    text = said("study", path, "--demo", "--out", tmp_path / "out", status=2)
    assert "the study planted is of 'planted-several' (scenes), for which the demo draws nothing; it draws for " in text
    assert text.count("\n") == 1
    assert not (tmp_path / "out").exists()


def _carried(out: Path, lpips_weights: Path | None) -> Carried:
    """A miniature: too small for any verdict."""
    settings = Settings(lpips_weights=lpips_weights)
    carried = carry_out(plan_demo(studies.load("pivot1"), out, settings, Scale(images=24, clips=16)))
    write_study(carried, out, command="foresight study pivot1 --demo", written=date(2026, 1, 1))
    return carried


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_miniature_goes_the_whole_way_and_the_same_again(tmp_path: Path, assets: Path) -> None:
    carried = _carried(tmp_path, assets / "models" / "lpips")
    assert not carried.failed
    assert carried.trained > 0
    first, before = carried.remarks[0], _files(tmp_path)
    assert first.startswith("a demo, of which no number is a finding: 24 drawn images and 16 drawn clips")
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["study"]["name"] == "pivot1-demo"
    assert verdict["study"]["digest"] != studies.load("pivot1").digest
    reasons = {name: claim["why"] for name, claim in verdict["claims"].items() if claim["status"] == "not measured"}
    assert not [name for name, why in reasons.items() if re.search("no cache|not trained|no LPIPS|weights", why)]
    assert (tmp_path / "report.html").is_file()
    again = _carried(tmp_path, assets / "models" / "lpips")
    assert again.trained == 0
    assert _files(tmp_path) == before
