"""`foresight study NAME --demo`: the criteria of the study by cheaper runs, from nothing to the report, and again."""

import dataclasses
import json
import math
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

NAMES = ("c1", "halp", "latentlens", "pivot1", "q2")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_name_digest_and_runs_is_changed(name: str) -> None:
    own, demo = studies.load(name), demo_study(studies.load(name))
    changed = {field.name for field in dataclasses.fields(own) if getattr(own, field.name) != getattr(demo, field.name)}
    assert changed == {"name", "title", "digest"} | ({"runs"} if own.runs else set())
    assert list(own.claims()) == list(demo.claims())
    assert own.runs.keys() == demo.runs.keys()


@pytest.mark.parametrize("name", NAMES)
def test_of_runs_tasks_and_points_stay_and_recipes_too(name: str) -> None:
    """Of options those change that a calibration holds for, but for heads that take minutes, which are told apart."""
    study = studies.load(name)
    cheaper = demo_study(study)
    for group, own in study.runs.items():
        demo = cheaper.runs[group]
        points = own.points[-1:] if own.options.perceptual_weight else own.points
        assert (own.dataset, own.tasks, points) == (demo.dataset, demo.tasks, demo.points)
        assert own.heads is None or set(demo.heads or ()) <= set(heads.resolve(own.heads))
        before, after = own.options.to_json(), demo.options.to_json()
        changed = {option for option in before.keys() | after.keys() if before.get(option) != after.get(option)}
        slow = ("capacity", "perceptual", "network", "fused")
        allowed = {"epochs", "learning_rate"} if group in slow else set()
        assert changed <= set(NEUTRAL_OPTIONS) | allowed


@pytest.mark.parametrize("name", NAMES)
def test_each_criterion_still_has_heads_and_solved_ones_their_controls(name: str) -> None:
    own = studies.load(name)
    demo = demo_study(own)
    for criterion in own.criteria.values():
        measure = own.measures.get(criterion.measure)
        if measure is None or not measure.task:
            continue
        group = demo.runs[measure.runs]
        assert set(measure.heads or ()) <= set(group.heads or ())
        task = tasks.load(measure.task)
        assert any(head in (group.heads or ()) for head in measure.heads or task.heads)
    trained = {
        group
        for group, runs in demo.runs.items()
        if runs.options.perceptual_weight
        or any(solver_of(tasks.load(task), head) is None for task in runs.tasks for head in runs.heads or ())
    }
    assert {group for group, runs in demo.runs.items() if own.runs[group].controls and not runs.controls} <= trained


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


# Without controls where so few samples have an answer that one of them would have no number.
MINIATURE = """\
name: miniature
version: 3
title: One of each kind of data
question: Does the demo go the whole way?
model: Qwen/Qwen2.5-VL-7B-Instruct
datasets:
  images: {dataset: coco2017, split: val2017, samples: 5000, media: image}
  alone: {dataset: single-shape, split: train, samples: 5000, media: image}
  scenes: {dataset: ade20k, split: validation, samples: 2000, media: image}
  clips: {dataset: something-else, split: validation, samples: 5000, media: clip, frames: 8}
  reversed: {dataset: ssv2, split: validation, samples: 5000, media: clip, frames: 8, reverse: half}
runs:
  relations: {dataset: images, tasks: relation, points: [E4, E5], controls: false}
  counts: {dataset: images, tasks: counting, points: E5, options: {refits: 10}}
  pictures: {dataset: images, tasks: reconstruction, points: E5, heads: [token-linear, conv-decoder]}
  position: {dataset: alone, tasks: position, points: E5}
  labels: {dataset: scenes, tasks: patch-class, points: E5}
  motion: {dataset: clips, tasks: [direction, speed, action], points: E5, controls: false}
  order: {dataset: reversed, tasks: order, points: E5}
measures:
  relation: {title: relative position, runs: relations, task: relation, metric: accuracy}
  count: {title: number of objects, runs: counts, task: counting, metric: accuracy}
  psnr: {title: PSNR, runs: pictures, task: reconstruction, metric: psnr}
  lpips: {title: LPIPS, runs: pictures, task: reconstruction, metric: lpips}
  iou: {title: IoU, runs: position, task: position, metric: mean_iou}
  labels: {title: mIoU, runs: labels, task: patch-class, metric: miou}
  direction: {title: direction, runs: motion, task: direction, metric: accuracy}
  speed: {title: speed, runs: motion, task: speed, metric: r2}
  action: {title: action, runs: motion, task: action, metric: accuracy}
  order: {title: order, runs: order, task: order, metric: accuracy}
criteria:
  relation: {title: relative position, measure: relation, point: recommended, levels: {target: "> 0.9"}}
  count: {title: number of objects, measure: count, point: E5, levels: {target: "> 0.8"}}
  lpips: {title: LPIPS, measure: lpips, point: E5, levels: {target: "< 0.3"}}
  iou: {title: IoU, measure: iou, point: E5, levels: {target: "> 0.7"}}
  labels: {title: mIoU, measure: labels, point: E5, levels: {target: "> 0.7"}}
  direction: {title: direction, measure: direction, point: E5, levels: {target: "> 0.9"}}
  speed: {title: speed, measure: speed, point: E5, levels: {target: "> 0.9"}}
  action: {title: action, measure: action, point: E5, levels: {target: "> 0.9"}}
  order: {title: order, measure: order, point: E5, levels: {target: "> 0.9"}}
decision:
  - {branch: GO, when: relation.target, means: it is there, next: Go on.}
  - {branch: STOP, when: otherwise, means: it is not there, next: Stop.}
recommendation: {measure: relation, points: [E4, E5]}
"""


def _carried(path: Path, out: Path, lpips_weights: Path) -> Carried:
    """A miniature, of which the tests of all kinds of data have a few samples."""
    plan = plan_demo(studies.load(str(path)), out, Settings(lpips_weights=lpips_weights), Scale(images=60, clips=24))
    carried = carry_out(plan)
    write_study(carried, out, command="foresight study miniature.yaml --demo", written=date(2026, 1, 1))
    return carried


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_study_has_all_caches_that_it_asks_for(name: str, tmp_path: Path) -> None:
    """Variants too, at sizes that differ as those of the study do, and with merged tokens."""
    study = studies.load(name)
    plan = plan_demo(study, tmp_path, Settings(), Scale(images=60, clips=24, questions=90))
    assert plan.joined.caches.keys() == study.datasets.keys()
    caches = plan.joined.caches
    for own, data in study.datasets.items():
        if (data.variant_of and data.size != study.datasets[data.variant_of].size) or data.merged > 1:
            grid, usual = (caches[other]["vit.pre_merge"].grid_of(0) for other in (own, data.variant_of))
            expected = usual.h * int(data.size) / int(study.datasets[data.variant_of].size) / data.merged
            assert grid.h == math.ceil(expected), own


@pytest.mark.slow
def test_a_miniature_goes_the_whole_way_and_the_same_again(tmp_path: Path, assets: Path) -> None:
    path, out, weights = tmp_path / "miniature.yaml", tmp_path / "out", assets / "models" / "lpips"
    path.write_text(MINIATURE)
    carried = _carried(path, out, weights)
    assert carried.failed == ()
    assert carried.trained > 0
    before = _files(out)
    assert carried.remarks[0].startswith("a demo, of which no number is a finding: 60 drawn images and 24 drawn clips")
    assert any(said.startswith("images are 60 images of shapes, and not of coco2017") for said in carried.remarks)
    verdict = json.loads((out / "verdict.json").read_text())
    assert (verdict["study"]["name"], verdict["study"]["version"]) == ("miniature-demo", 3)
    assert verdict["study"]["digest"] != studies.load(str(path)).digest
    for name in studies.load(str(path)).measures:
        reading = carried.findings.evidence.reading(name, "vit.post_merge")
        assert reading.interval is not None, f"{name}: {reading.reason or reading.unfit}"
    again = _carried(path, out, weights)
    assert again.trained == 0
    assert _files(out) == before


@pytest.mark.slow
def test_questions_are_answered_and_judged_and_the_report_says_whose_labels_they_are(tmp_path: Path) -> None:
    """halp from nothing, of which one group is trained: a random model's answers have labels of both kinds."""
    study = studies.load("halp")
    groups = {name: dataclasses.replace(study.runs[name], controls=False) for name in ("detectors",)}
    options = dataclasses.replace(groups["detectors"].options, refits=0)
    groups["detectors"] = dataclasses.replace(groups["detectors"], options=options, points=("halp-query",))
    named = {name: own for name, own in study.sections.items() if name in ("rates", "detection", "within", "sources")}
    data = {"questions": study.datasets["questions"]}
    small = dataclasses.replace(study, runs=groups, datasets=data, sections=named)
    plan = plan_demo(small, tmp_path / "out", Settings(), Scale(questions=150))
    left = {name: "left out of this test" for name in study.runs if name not in groups}
    whole = dataclasses.replace(plan.study, runs={**study.runs, **plan.study.runs})
    carried = carry_out(dataclasses.replace(plan, study=whole, missing={**plan.missing, **left}))
    assert carried.failed == ()
    cache = carried.findings.evidence.caches["questions"]
    labels = [row["annotations"]["qa"]["hallucinated"] for row in cache.rows]
    assert {True, False} <= set(labels)
    assert all(row["annotations"]["qa"]["answer"] in ("yes", "no") for row in cache.rows)
    page = write_study(carried, tmp_path / "out", command="foresight study halp --demo", written=date(2026, 1, 1))
    text = page.with_suffix(".md").read_text()
    assert "150 questions about drawn images, answered by yes or no" in text
    assert "rules:any" in text
    assert "tiny:qwen2_5_vl" in text
    assert "drawn-a: presence" in text
    assert "network of HALP: left out of this test" in text
    answered = (tmp_path / "out/demo/answers/questions.jsonl").read_bytes()
    again = plan_demo(small, tmp_path / "out", Settings(), Scale(questions=150))
    assert not any(sweep.pending for sweep in again.sweeps.values())
    assert (tmp_path / "out/demo/answers/questions.jsonl").read_bytes() == answered
