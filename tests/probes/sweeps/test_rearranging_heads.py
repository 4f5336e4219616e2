"""Heads that put time steps side by side, on tasks that are trained and not solved."""

from pathlib import Path

import pytest

from foresight_cache.errors import UsageError
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.sweep import Sweep


@pytest.mark.parametrize("head", ["temporal-linear", "temporal-token-linear"])
def test_they_are_refused_by_name_on_clips(tmp_path: Path, head: str) -> None:
    planted = PlantedCache(world="clip", train=12, validation=4, test=4, rows=3)
    cache = planted.write(tmp_path / "caches", ["motion.linear"])
    for row in cache.rows:
        row["annotations"]["objects"] = [{"box": [0.0, 0.0, 12.0, 12.0], "category": "disc"}]
    sweep = Sweep(tasks=("boxes",), points=None, heads=(head,), controls=())
    with pytest.raises(UsageError, match=f"no head of {head} fits the task 'boxes'; use one of .*token-linear"):
        plan_sweep(cache, sweep, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
