"""A user is warned once of each instrument that is not known to be fit, and not of the runs of its controls."""

from pathlib import Path

from foresight_probes.calibration.warnings import calibration_warnings
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.sweep import Sweep
from tests.support import scenes


def test_controls_are_not_warned_of(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    sweep = Sweep(tasks=("counting",), heads=("ridge",), controls=("shuffled", "label-shuffle"))
    plan = plan_sweep(cache, sweep, tmp_path / "runs")
    assert any("~" in run.task for runs in plan.pending.values() for run in runs)
    (warning,) = calibration_warnings(plan)
    assert warning.startswith("ridge for counting is not known to be fit: ")
