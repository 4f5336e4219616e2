"""Processes that train beside the one that carries a study out: the same runs, whoever of them lives."""

import dataclasses
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from foresight_cache.runtime.progress import silent
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.studies.helpers import helpers
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.planning import Settings, StudyPlan, plan_study
from foresight_probes.studies.running import carry_out, pending_runs

POINTS = ("lists.linear", "lists.product", "nothing.linear")
STUDY = """\
name: shared
version: 1
title: Points that are shared out
question: Are they?
model: planted
datasets: {scenes: {dataset: planted-several, split: train, samples: 48, media: image}}
runs:
  solved: {dataset: scenes, tasks: counting, points: ["*"], options: {refits: 4}}
  trained: {dataset: scenes, tasks: counting, points: [lists.linear], heads: mlp, controls: false, options: {epochs: 2}}
measures: {count: {title: number of objects, runs: solved, task: counting, metric: accuracy}}
criteria: {count: {title: number of objects, measure: count, point: lists.linear, levels: {high: "> 0.5"}}}
decision: [{branch: GO, when: otherwise, means: it ends, next: Go on.}]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    planted = PlantedCache(world="several", train=28, validation=10, test=10, rows=4)
    return planted.write(tmp_path_factory.mktemp("helpers") / "cache", POINTS).path


def _plan(cache: str, out: Path) -> StudyPlan:
    study = parse_study(STUDY, "shared.yaml")
    return plan_study(study, join(study, [cache]), out, Settings())


def _pending(cache: str, out: Path) -> int:
    return sum(map(pending_runs, _plan(cache, out).sweeps.values()))


def _values(plan: StudyPlan) -> dict[tuple[str, ...], float]:
    carried = carry_out(plan)
    return {
        (group, result.point, result.run, name): value
        for group, results in carried.results.items()
        for result in results
        for name, value in dataclasses.asdict(result.metrics["accuracy"]).items()
    }


def test_a_helper_trains_what_a_study_needs(cache: str, tmp_path: Path) -> None:
    alone = _values(_plan(cache, tmp_path / "alone"))
    plan, told = _plan(cache, tmp_path / "helped"), []
    count = sum(map(pending_runs, plan.sweeps.values()))
    with helpers(plan.sweeps, 1, (), lambda samples, size: told.append((samples, size))):
        ends = time.monotonic() + 120
        while _pending(cache, plan.out) and time.monotonic() < ends:
            time.sleep(0.5)
    assert count > 0
    assert not multiprocessing.active_children()
    assert _pending(cache, plan.out) == 0
    assert sum(samples for samples, _ in told) > 0
    after = _plan(cache, tmp_path / "helped")
    assert _values(after) == pytest.approx(alone, abs=1e-6)


def test_two_that_share_and_one_that_is_killed(cache: str, tmp_path: Path) -> None:
    plan = _plan(cache, tmp_path / "killed")
    with helpers(plan.sweeps, 2, (), silent):
        (victim, _) = multiprocessing.active_children()
        time.sleep(6)  # while it begins, or trains
        os.kill(victim.pid or 0, signal.SIGKILL)
        killed = _values(plan)
    assert killed == pytest.approx(_values(_plan(cache, tmp_path / "alone")), abs=1e-6)


def test_a_finished_study_starts_no_process(cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = carry_out(_plan(cache, tmp_path / "runs"), processes=2)
    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Process", None)
    second = carry_out(_plan(cache, tmp_path / "runs"), processes=2)
    assert first.trained > 0
    assert second.trained == 0
    assert second.findings.verdict.name == first.findings.verdict.name
