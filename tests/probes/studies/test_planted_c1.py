"""c1 on planted caches, in which it is known at which stage pictures and places are lost: the right branch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_probes.studies.study import Study
from foresight_probes.studies.verdict import Findings
from pipelines import studies
from tests.support.planted_verdicts import SEEDS, Planted, carried_out

DRAWN, BLURRED, PLACED, LOST = "picture.linear", "picture.token_snr", "objects.linear", "nothing.linear"
BEFORE, AFTER = "vit.pre_merge", "vit.post_merge"
PLANTS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "GO, pre-merge": ((DRAWN, LOST), (PLACED, PLACED)),
    "GO, post-merge": ((DRAWN, BLURRED), (PLACED, PLACED)),
    "PIVOT": ((DRAWN, LOST), (LOST, PLACED)),
}
"""What pictures and places tell before and after the merger, by the branch that follows."""


def study() -> Study:
    """c1, in which the linear head stands for that of 50 million parameters, which takes minutes."""
    own = studies.load("c1")
    largest = replace(own.measures["lpips-50m"], runs="linear", heads=("token-linear",))
    return replace(own, measures={**own.measures, "lpips-50m": largest})


def found(folder: Path, seed: int, branch: str, lpips: Path) -> Findings:
    pictures, places = PLANTS[branch]
    datasets = {
        "images": Planted(world="several", points=dict(zip((BEFORE, AFTER), pictures, strict=True))),
        "shapes": Planted(world="single", points=dict(zip((BEFORE, AFTER), places, strict=True))),
    }
    return carried_out(study(), folder, seed, datasets, {"linear": "token-linear", "position": "token-linear"}, lpips)


@pytest.mark.slow
def test_detail_is_lost_in_the_merger(tmp_path: Path, assets: Path) -> None:
    findings = found(tmp_path, 0, "GO, pre-merge", assets / "models" / "lpips")
    statuses = {claim.name: claim.status for claim in findings.claims}
    assert findings.verdict.name == "GO, pre-merge"
    assert findings.verdict.branch
    assert findings.verdict.branch.fallback == "E5"
    assert statuses["gap.large"] == "met"
    assert statuses["psnr.target"] == statuses["iou.target"] == "met"
    assert not findings.failed(hard=True)
    assert findings.recommended
    assert findings.recommended.point == BEFORE
    depth, pictures = findings.curves
    assert depth.falls_at == ""
    assert pictures.readings[BEFORE].interval
    assert pictures.readings[BEFORE].interval.high < 0.05


@pytest.mark.slow
def test_places_are_lost_before_the_merger(tmp_path: Path, assets: Path) -> None:
    findings = found(tmp_path, 1, "PIVOT", assets / "models" / "lpips")
    assert findings.verdict.name == "PIVOT"
    assert [claim.name for _, claim in findings.failed(hard=True)] == ["iou.fails"]
    assert findings.curves[0].latest == BEFORE


@pytest.mark.study
@pytest.mark.parametrize("seed", SEEDS)
def test_many_seeds(tmp_path: Path, assets: Path, seed: int) -> None:
    branch = list(PLANTS)[seed % len(PLANTS)]
    assert found(tmp_path, seed, branch, assets / "models" / "lpips").verdict.name == branch
