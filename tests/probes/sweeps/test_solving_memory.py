"""The memory of closed forms: what is solved in parts reads the same, and what has no room is said."""

from pathlib import Path
from typing import Any

import pytest

from foresight_cache.reader import Cache
from foresight_probes.calibration.planted import PlantedCache
from foresight_probes.controls import names
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result
from foresight_probes.sweeps import solving_memory
from foresight_probes.sweeps.failed_runs import RunsFailed
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.solving_memory import map_bytes, together, too_large
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.tasks import load
from foresight_probes.training.run_spec import RunSpec


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    planted = PlantedCache(world="several", train=24, validation=10, test=10, rows=4)
    return planted.write(tmp_path_factory.mktemp("memory") / "cache", ("lists.linear",))


def _sweep() -> Sweep:
    return Sweep(
        tasks=("boxes", "counting"),
        points=("lists.linear",),
        heads=("token-linear", "pooled-linear"),
        seeds=(0, 1),
        options=TrainingOptions(device="cpu"),
        controls=tuple(names()),
    )


def _numbers(results: list[Result]) -> dict[Any, Any]:
    return {(own.task, own.point, own.run): {k: v.value for k, v in own.metrics.items()} for own in results}


def test_runs_that_are_solved_one_by_one_read_the_same(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_at_once = train_sweep(plan_sweep(cache, _sweep(), tmp_path / "together"))
    monkeypatch.setattr(solving_memory, "AT_ONCE", 1)
    apart = train_sweep(plan_sweep(cache, _sweep(), tmp_path / "apart"))
    assert _numbers(apart) == _numbers(all_at_once)
    assert len(apart) > 4


def test_what_has_no_room_is_said_and_not_tried(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving_memory, "MOST_OF_MEMORY", 1e-9)
    with pytest.raises(
        RunsFailed, match=r"counting, .*: its maps, one for each penalty, take .*; give fewer strengths"
    ):
        train_sweep(plan_sweep(cache, _sweep(), tmp_path / "runs"))
    monkeypatch.undo()
    plan = plan_sweep(cache, _sweep(), tmp_path / "runs")
    left = [run for point, runs in plan.pending.items() for run in runs]
    assert left  # runs themselves are tried again, on a larger machine
    assert not any("/" in run.task for run in left)  # controls are not


def test_groups_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving_memory, "AT_ONCE", 10)
    runs = [RunSpec(head="h", task=task, seed=0) for task in ("a", "a", "b", "a", "c", "a")]
    assert together(runs, {"a": 4, "b": 5, "c": 30}) == [[0, 1], [2, 3], [4], [5]]
    assert together([], {}) == []


def test_bytes_of_a_map(cache: Cache) -> None:
    """Three numbers from four channels: 12 weights, ten maps of 8 bytes each, two and a half times, and a head of 4."""

    class Data:
        widths, grid = (4,), None

    class Task:
        def outputs_for(self, **_: Any) -> Any:
            return type("Outputs", (), {"channels": 3})

    assert map_bytes(Task(), Data(), 10) == 12 * 204  # type: ignore[arg-type]
    assert load("boxes").outputs.channels > 0
    assert not too_large(10**6)
    assert "TB" in too_large(10**15)
