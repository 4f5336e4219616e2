"""Validation values of each epoch go to the loggers that are named."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from foresight_cache.errors import MissingExtra, UnknownName
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import load_results
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.training.loggers import open_loggers
from tests.support import scenes


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


QUICK = TrainingOptions(epochs=2, resamples=10)


def test_loggers(cache: "scenes.Cache", tmp_path: Path) -> None:
    sweep = Sweep(tasks=("counting",), points=("vit.block_01",), heads=("mlp",), options=QUICK)
    train_sweep(plan_sweep(cache, sweep, tmp_path), loggers=["csv"])
    lines = (tmp_path / "logs" / "vit.block_01" / "version_0" / "metrics.csv").read_text().splitlines()
    candidates = [f"counting/mlp-lr{rate}-wd{decay}-seed0" for rate in (0.0003, 0.001, 0.003) for decay in (0.3, 3)]
    assert sorted(lines[0].split(",")) == sorted([*(f"{name}/channels/r2" for name in candidates), "step"])
    columns = [line.split(",") for line in lines[1:]]
    assert all(columns[0])  # after the first round, of all; then of the best
    assert [row[lines[0].split(",").index("step")] for row in columns][:3] == ["1", "2", "3"]
    assert [sum(map(bool, row)) for row in columns][1:3] == [4, 4]  # the best of each step size
    assert len(load_results(tmp_path)) == 2
    with pytest.raises(UnknownName, match="unknown logger 'cvs'"):
        open_loggers(["cvs"], tmp_path, "p")
    for name in ("tensorboard", "wandb"):
        if find_spec(name) is None:
            with pytest.raises(MissingExtra, match=rf"logging to {name} needs .*'foresight-cache\[{name}\]'"):
                open_loggers([name], tmp_path, "p")
