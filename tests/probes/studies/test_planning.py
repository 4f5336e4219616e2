"""What is planned of a study: tasks that samples can be asked, in every fold."""

from pathlib import Path
from typing import Any

import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import side_of
from foresight_probes.studies import planning
from foresight_probes.studies.joining import join
from foresight_probes.studies.parsing import parse_study
from foresight_probes.sweeps.divisions import Division
from foresight_probes.sweeps.sweep import Sweep
from tests.support import planted_study

OPTIONS = TrainingOptions()


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


def test_where_a_refit_would_lack_samples_nothing_is_fitted_again(tmp_path: Path) -> None:
    """One validation sample is annotated, which one of the refits leaves out."""
    cache = planted_study.cache(tmp_path / "cache")
    study = parse_study(planted_study.STUDY, "mine.yaml")
    joined = join(study, [cache.path])
    shares = {"train_share": OPTIONS.train_share, "validation_share": OPTIONS.validation_share}
    _, *others = [row for row in joined.caches["scenes"].rows if side_of(row["group"], **shares) == "validation"]
    for row in others:
        del row["annotations"]["objects"]
    plan = planning.plan_study(study, joined, tmp_path / "out", planning.Settings())
    assert plan.sweeps["counts"].refits == ()
    (remark,) = [own for own in plan.remarks if "fitted again" in own]
    assert remark.startswith("counts: nothing is fitted again, so that intervals do not count it: no sample of the val")
