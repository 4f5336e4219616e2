"""Training that diverges counts in the verdict: it is a failure, and not a run that is missing."""

from pathlib import Path

import pytest

from foresight_cache.errors import ManifestError
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.planning import Settings, plan_study
from foresight_probes.studies.running import carry_out

STUDY = """\
name: diverging
version: 1
title: Heads that diverge
question: Do they?
model: planted
datasets: {scenes: {dataset: planted-several, split: train, samples: 36, media: image}}
runs:
  fast:
    dataset: scenes
    tasks: counting
    points: [lists.linear, nothing.linear]
    heads: [mlp, pooled-linear]
    controls: false
    options: {epochs: 2, learning_rate: RATE, device: cpu}
measures: {diverged: {title: runs that diverge, runs: fast, diverged: true}}
criteria:
  training: {title: heads that diverge, measure: diverged, points: ["lists.*"], levels: {diverges: "> 0"}}
  everywhere: {title: heads that diverge, measure: diverged, points: "*", levels: {diverges: "> 0"}}
failures: [{hard: training.diverges, means: training diverges}]
decision:
  - {branch: PIVOT, when: training.diverges, means: it does, next: Look elsewhere.}
  - {branch: GO, when: otherwise, means: it does not, next: Go on.}
"""


@pytest.mark.parametrize(("rate", "branch", "count"), [("1.0e+30", "PIVOT", 1.0), ("1.0e-3", "GO", 0.0)])
def test_a_step_that_is_far_too_large(rate: str, branch: str, count: float, tmp_path: Path) -> None:
    """The solved head has no steps, so that of the two one diverges at each point."""
    planted = PlantedCache(world="several", train=20, validation=8, test=8, rows=4)
    cache = planted.write(tmp_path / "cache", ("lists.linear", "nothing.linear"))
    study = parse_study(STUDY.replace("RATE", rate), "mine.yaml")
    carried = carry_out(plan_study(study, join(study, [cache.path]), tmp_path / "out", Settings()))
    found = carried.findings
    assert found.verdict.name == branch
    claims = {claim.name: claim for claim in found.claims}
    assert claims["training.diverges"].why.startswith(f"{count:.3f} at 2 runs of fast")
    assert claims["everywhere.diverges"].why.startswith(f"{2 * count:.3f} at 4 runs of fast")
    assert [claim.name for _, claim in found.failed(hard=True)] == (["training.diverges"] if count else [])
    assert bool(carried.failed) == bool(count)
    other = carry_out(plan_study(study, join(study, [cache.path]), tmp_path / "out", Settings()))
    assert other.findings.verdict.name == branch  # also where the sound runs are finished already


def test_without_runs_it_is_not_measured(tmp_path: Path) -> None:
    planted = PlantedCache(world="several", train=20, validation=8, test=8, rows=4)
    cache = planted.write(tmp_path / "cache", ("nothing.linear",))
    study = parse_study(STUDY.replace("RATE", "1.0e-3").replace(", nothing.linear]", "]"), "mine.yaml")
    carried = carry_out(plan_study(study, join(study, [cache.path]), tmp_path / "out", Settings()))
    claim = carried.findings.claims[0]
    assert claim.status == "not measured"
    assert "has none of the points lists.linear" in claim.why


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("runs: fast, diverged: true", "diverged: true", "expected 'title', 'runs' and 'diverged: true' alone"),
        ("runs: fast, diverged: true", "runs: fast, diverged: false", "'diverged: true' alone"),
        ('points: ["lists.*"]', "point: lists.linear", "counts runs, of all 'points' together"),
    ],
)
def test_mistakes_are_named(old: str, new: str, words: str) -> None:
    assert old in STUDY
    with pytest.raises(ManifestError, match=words):
        parse_study(STUDY.replace("RATE", "1.0e-3").replace(old, new), "mine.yaml")
