"""Default heads on points that hold nothing of the answer, or its place alone: how often they read something."""

from dataclasses import replace
from pathlib import Path

import pytest

from foresight_probes.calibration.checks import FULL, Instrument, checks
from foresight_probes.calibration.rules import judged
from foresight_probes.calibration.trainings import Training

SEEDS = range(20)
HEADS = {
    "counting": "pooled-linear",
    "relation": "pooled-linear",
    "direction": "temporal-linear",
    "patch-class": "token-linear",
    "position": "pooled-linear",
}
MOST_BELOW = 0.03


def readings(task: str, seed: int, out: Path) -> list[tuple[bool, bool]]:
    """Returns for each point whether it reads above chance, and whether below it by more than samples explain."""
    instrument = Instrument(task=task, head=HEADS[task])
    few = replace(FULL, train=300, validation=100, test=400)
    own = [check for check in checks(instrument, few) if check.rule == "absent"]
    planted = [replace(check, cache=replace(check.cache, seed=100 + seed)) for check in own]
    points = tuple(check.point for check in planted)
    training = Training(instrument=instrument, heads=(instrument.head,), cache=planted[0].cache, points=points)
    results = training.results(out)
    rows = judged(instrument, {check: results[check.point][0] for check in planted}, {})
    return [(row.low > row.chance, row.high < row.chance and row.chance - row.obtained > MOST_BELOW) for row in rows]


@pytest.mark.simulation
def test_nothing_reads_as_nothing_in_95_of_100_runs(tmp_path: Path) -> None:
    found = [
        (task, reading)
        for task in HEADS
        for seed in SEEDS
        for reading in readings(task, seed, tmp_path / f"{task}-{seed}")
    ]
    above = [task for task, (is_above, _) in found if is_above]
    below = [task for task, (_, is_below) in found if is_below]
    assert len(found) >= len(HEADS) * len(SEEDS)
    assert len(above) <= 0.05 * len(found), above
    assert len(below) <= 0.05 * len(found), below
