"""The same runs by ever fewer training samples: portions lie in each other, and all are tested on the same samples."""

from pathlib import Path

import pytest

from foresight_cache.errors import ManifestError
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.report.study import run_links
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.parts import Lines, Table
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import Carried, carry_out
from foresight_probes.studies.sections import load

STUDY = """\
name: portions
version: 1
title: Fewer samples
question: How many are needed?
model: planted
datasets: {scenes: {dataset: planted-several, split: train, samples: 170, media: image}}
runs:
  boxes:
    dataset: scenes
    tasks: boxes
    points: [lists.linear]
    heads: token-linear
    controls: false
    options: {device: cpu, refits: 4}
    halvings: 2
measures: {iou: {title: box IoU, runs: boxes, task: boxes, metric: mean_iou}}
criteria:
  few: {title: boxes by few samples, measure: iou@1-of-4, point: lists.linear, levels: {there: "> 0"}}
sections:
  samples: {kind: quality-by-factor, title: Samples, measures: iou, factor: samples, points: lists.linear}
decision: [{branch: GO, when: otherwise, means: it ends, next: Go on.}]
"""


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Carried, Path]:
    folder = tmp_path_factory.mktemp("portions")
    cache = PlantedCache(world="several", train=96, validation=32, test=42, rows=4).write(
        folder / "cache", ("lists.linear",)
    )
    study = parse_study(STUDY, "portions.yaml")
    return carry_out(plan_study(study, join(study, [cache.path]), folder / "out", Settings())), folder / "out"


def test_portions_lie_in_each_other_and_are_tested_alike(carried: tuple[Carried, Path]) -> None:
    groups = ("boxes@1-of-4", "boxes@1-of-2", "boxes")
    results = [next(own for own in carried[0].results[group] if own.run == "token-linear-seed0") for group in groups]
    counts = [own.split["train"] for own in results]
    assert 1.6 < counts[1] / counts[0] < 2.5
    assert 1.6 < counts[2] / counts[1] < 2.5
    assert len({tuple(score.id for score in own.scores) for own in results}) == 1
    assert all(own.refits for own in results)


def test_a_section_draws_them_from_few_to_all(carried: tuple[Carried, Path]) -> None:
    findings = carried[0].findings
    lines, table = load("quality-by-factor").parts(findings.evidence, findings.study.sections["samples"])
    assert isinstance(lines, Lines)
    assert isinstance(table, Table)
    places = [float(place) for place in lines.series[0].places]
    assert places == sorted(places)
    assert [row[1] for row in table.rows] == [f"{place:,.0f}" for place in places]
    assert len(places) == 3


def test_a_number_leads_to_the_run_of_its_portion(carried: tuple[Carried, Path]) -> None:
    findings, out = carried[0].findings, carried[1]
    (found,) = findings.criteria
    ((_, link),) = run_links(findings, found)
    assert (out / link).is_file()
    assert "portions/4" in link


def test_very_few_samples_end_nothing(tmp_path: Path) -> None:
    cache = PlantedCache(world="several", train=20, validation=4, test=8, rows=4).write(
        tmp_path / "cache", ("lists.linear",)
    )
    study = parse_study(STUDY.replace("halvings: 2", "halvings: 6"), "portions.yaml")
    plan = plan_study(study, join(study, [cache.path]), tmp_path / "out", Settings())
    carried = carry_out(plan)
    assert carried.findings.verdict.name == "GO"
    assert not carried.failed


def test_a_wrong_number_is_named() -> None:
    with pytest.raises(ManifestError, match=r"line 15: .*halvings"):
        parse_study(STUDY.replace("halvings: 2", "halvings: 0"), "portions.yaml")
