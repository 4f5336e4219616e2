"""What is planned of a study: tasks that samples can be asked, in every fold."""

from typing import Any

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.options import TrainingOptions
from foresight_probes.studies import planning
from foresight_probes.sweeps.divisions import Division
from foresight_probes.sweeps.sweep import Sweep


def test_a_task_that_one_fold_cannot_be_asked_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int | None]] = []

    def load(_: object, tasks: tuple[str, ...], __: object, ___: object, division: Division) -> None:
        asked.append((tasks[0], division.fold))
        if (tasks[0], division.fold) == ("counting", 1):
            raise ProbeError("all training samples have the same answer")

    monkeypatch.setattr(planning, "load_targets", load)
    cache: Any = None
    folded = Sweep(tasks=("boxes", "counting"), options=TrainingOptions(folds=3))
    assert planning._usable_tasks(cache, folded) == (
        ("boxes",),
        {"counting": "all training samples have the same answer"},
    )
    assert asked == [("boxes", 0), ("boxes", 1), ("boxes", 2), ("counting", 0), ("counting", 1)]
    asked.clear()
    planning._usable_tasks(cache, Sweep(tasks=("boxes",)))
    assert asked == [("boxes", None)]
