"""halp on planted questions, of which it is known what tells the label: the right branch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_probes.studies.verdict import Findings
from tests.support.planted_halp import carried_out
from tests.support.planted_question_caches import QUERY, World

PLANTS: Mapping[str, World] = {
    "CATEGORY ONLY": World(),
    "FEATURES CARRY IT": World(features=1.2, first_token=0.1),
    "FIRST TOKEN SUFFICES": World(features=0.8, first_token=2.5),
    "NOT DETECTED": World(even=True),
}
"""Worlds by the branch that follows. The types of questions have other rates of labels in all but the last."""


def found(folder: Path, seed: int, branch: str, images: int) -> Findings:
    return carried_out(folder, replace(PLANTS[branch], seed=seed, images=images)).findings


@pytest.mark.parametrize(
    "branch",
    [
        *("CATEGORY ONLY", "FEATURES CARRY IT"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("FIRST TOKEN SUFFICES", "NOT DETECTED")),
    ],
)
def test_the_branch_follows_from_what_was_planted(tmp_path: Path, branch: str) -> None:
    findings = found(tmp_path, 0, branch, 700)
    statuses = {claim.name: claim.status for claim in findings.claims}
    assert findings.verdict.name == branch
    readings = {name: findings.evidence.reading(name, QUERY).interval for name in ("auroc", "category", "within")}
    auroc, category, within = (own.value for own in readings.values() if own)
    if branch == "CATEGORY ONLY":
        assert auroc > 0.7
        assert category > 0.7
        assert statuses["detected.above-chance"] == "met"
        assert statuses["within.above-chance"] != "met"
        assert abs(within - 0.5) < 0.1
    if branch == "FEATURES CARRY IT":
        assert within > 0.75
        assert statuses["over-category.more"] == "met"


@pytest.mark.study
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("branch", ["CATEGORY ONLY", "FEATURES CARRY IT"])
def test_many_seeds(tmp_path: Path, seed: int, branch: str) -> None:
    assert found(tmp_path, seed, branch, 2000).verdict.name == branch
