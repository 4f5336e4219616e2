"""pivot1 on planted caches, in which it is known at which stage objects are lost: the right branch."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from foresight_probes.studies.verdict import Findings
from pipelines import studies
from tests.support.planted_verdicts import SEEDS, Planted, carried_out

KNOWN, LOST = "objects.linear", "nothing.linear"
EARLY, BEFORE, AFTER = "vit.block_02", "vit.pre_merge", "vit.post_merge"
PLANTS: Mapping[str, tuple[str, tuple[str, str, str]]] = {
    "kept": ("GO", (KNOWN, KNOWN, KNOWN)),
    "lost in the merger": ("GO", (KNOWN, KNOWN, LOST)),
    "lost in the vision tower": ("NO-GO", (KNOWN, LOST, LOST)),
    "never there": ("NO-GO", (LOST, LOST, LOST)),
}
"""The branch that follows, and what an early block and the sides of the merger tell, by where objects are lost."""


def found(folder: Path, seed: int, plant: str) -> Findings:
    points = dict(zip((EARLY, BEFORE, AFTER), PLANTS[plant][1], strict=True))
    datasets = {"images": Planted(world="several", points=points)}
    heads = {"boxes": "token-linear", "detection": "token-linear"}
    return carried_out(studies.load("pivot1"), folder, seed, datasets, heads, None)


@pytest.mark.slow
def test_lost_in_the_merger(tmp_path: Path) -> None:
    findings = found(tmp_path, 0, "lost in the merger")
    statuses = {claim.name: claim.status for claim in findings.claims}
    assert findings.verdict.name == "GO"
    assert statuses["merger.loses"] == statuses["earlier-layers.go"] == "met"
    assert statuses["memory.go"] == "met"
    assert statuses["detr.go"] == statuses["clip-iou.go"] == statuses["lpips.go"] == "not measured"
    assert findings.curves[0].falls_at == findings.curves[0].latest == AFTER


@pytest.mark.slow
def test_lost_in_the_vision_tower(tmp_path: Path) -> None:
    findings = found(tmp_path, 1, "lost in the vision tower")
    statuses = {claim.name: claim.status for claim in findings.claims}
    assert findings.verdict.name == "NO-GO"
    assert statuses["map.no-go"] == statuses["earlier-layers.go"] == "met"
    assert findings.curves[0].latest == BEFORE


@pytest.mark.study
@pytest.mark.parametrize("seed", SEEDS)
def test_many_seeds(tmp_path: Path, seed: int) -> None:
    plant = list(PLANTS)[seed % len(PLANTS)]
    assert found(tmp_path, seed, plant).verdict.name == PLANTS[plant][0]
