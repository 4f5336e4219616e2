"""q2 on planted caches, in which it is known at which stage boxes are lost: the right branch, and the right layer."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.options import TrainingOptions
from foresight_probes.studies.joining import join
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out
from foresight_probes.studies.verdict import Findings
from pipelines import studies
from tests.support import planted_stages
from tests.support.planted_verdicts import SEEDS

KNOWN, LOST = "objects.linear", "nothing.linear"
STAGES = ("vit.pre_merge", "vit.post_merge", "llm.layer_01", "llm.layer_02")


def found(folder: Path, seed: int, points: Mapping[str, str], samples: int = 90) -> Findings:
    """q2's findings by its boxes alone, with one head that starts from its solution, and without controls."""
    planted = PlantedCache(world="several", train=samples, validation=30, test=90, seed=seed, rows=8)
    planted_stages.write(folder / "cache", planted, points)
    study = studies.load("q2")
    quick = TrainingOptions(epochs=1, learning_rate=1e-3, device="cpu", patience=1)
    boxes = replace(study.runs["boxes"], heads=("token-linear",), controls=False, options=quick)
    of_boxes = replace(study, runs={"boxes": boxes}, datasets={"images": study.datasets["images"]})
    plan = plan_study(of_boxes, join(study, [str(folder / "cache")]), folder / "out", Settings())
    assert any("lacks vit.patch_embed" in own and "--points vit.patch_embed,vit." in own for own in plan.remarks)
    others = {name: "left out of this test" for name in study.runs if name != "boxes"}
    whole = replace(study, runs={**study.runs, "boxes": boxes})
    return carry_out(replace(plan, study=whole, missing={**plan.missing, **others})).findings


def lost_from(stage: int) -> dict[str, str]:
    """Points of which those from a stage on tell nothing."""
    return {name: KNOWN if number < stage else LOST for number, name in enumerate(STAGES)}


def test_lost_in_the_language_model(tmp_path: Path) -> None:
    findings = found(tmp_path, 0, lost_from(3))
    assert findings.verdict.name == "GREEN"
    curve = findings.curves[0]
    assert [own.sentence for own in findings.curves[1:]] == ["Nothing was measured along it."] * 2
    assert curve.falls_at == curve.earliest == curve.latest == "llm.layer_02"
    assert findings.recommended
    assert findings.recommended.point in STAGES[:3]
    assert findings.recommended.better["llm.layer_02"] < 0.01
    assert not findings.failed(hard=True)
    statuses = {claim.name: claim.status for claim in findings.claims}
    assert statuses["middle-layer-iou.falls"] == "met"  # the middle of these four layers is the second
    assert statuses["drawn.target"] == "not measured"
    assert all(score.readings["vit.pre_merge"].reason == "LPIPS: left out of this test" for score in findings.scores)


def test_lost_in_the_merger(tmp_path: Path) -> None:
    findings = found(tmp_path, 1, lost_from(1))
    assert findings.verdict.name == "RED"
    assert [claim.name for claim in findings.verdict.deciding] == ["pre-merge-iou.fails", "post-merge-iou.fails"]
    assert [claim.name for _, claim in findings.failed(hard=True)] == ["post-merge-iou.fails", "llm-iou.fails"]
    curve = findings.curves[0]
    assert [own.sentence for own in findings.curves[1:]] == ["Nothing was measured along it."] * 2
    assert curve.latest == "vit.post_merge"
    assert findings.recommended
    assert findings.recommended.point == "vit.pre_merge"
    assert {claim.name: claim.status for claim in findings.claims}["merger-iou.loses"] == "met"
    assert "boxes after the merger above 0.7: GREEN" in findings.verdict.changes


@pytest.mark.study
@pytest.mark.parametrize("seed", SEEDS)
def test_many_seeds(tmp_path: Path, seed: int) -> None:
    """The branch and the layer are right in each of them, wherever boxes are lost."""
    stage = seed % 4
    findings = found(tmp_path, seed, lost_from(stage), samples=150)
    assert findings.verdict.name == ("RED" if stage < 2 else "GREEN")
    assert findings.curves[0].latest == STAGES[stage]
