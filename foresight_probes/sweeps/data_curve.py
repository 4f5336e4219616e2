"""Sweeps with ever more training samples: how a metric grows with them, and the online code of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_sources
from foresight_probes.results.result import Result
from foresight_probes.splits import Split
from foresight_probes.statistics.description_length import OnlineCode, online_code
from foresight_probes.sweeps.divisions import WHOLE, Division
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.split_runs import train_split
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.tasks.kinds.per_sample import PerSample
from foresight_probes.training.kept_head import load_head

FEWEST = 8
"""Training groups that a portion has at least."""
BATCH = 64
"""Samples that are coded at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataCurve:
    """The results of one run on one point from ever more training samples."""

    results: tuple[Result, ...]
    """From the fewest samples to all."""
    code: OnlineCode | None
    """Of the classes of all samples that train or select; None for tasks whose answers are no classes of samples."""


def portions(cache: Cache, sweep: Sweep, out: Path, halvings: int) -> dict[str, list[SweepPlan]]:
    """Returns the plans of portions of the training and validation groups by task, from the smallest to all.

    Each is twice as large as the one before; those of fewer than eight training groups, or without an answer on one of
    the sides, are left out. Raises as `plan_sweep` does, and `UsageError` for a sweep with folds or refits.
    """
    if sweep.options.folds or sweep.options.refits:
        raise UsageError("a data curve has portions of one split, expected neither folds nor refits; leave them out")
    return {task: _portions(cache, replace(sweep, tasks=(task,)), out, halvings) for task in sweep.tasks}


def _portions(cache: Cache, sweep: Sweep, out: Path, halvings: int) -> list[SweepPlan]:
    divisions = [*(Division(halvings=number) for number in range(halvings, 0, -1)), WHOLE]
    plans = []
    for division in divisions:
        try:
            plan = plan_sweep(cache, sweep, out, division)
        except ProbeError:
            if division == WHOLE:
                raise
            continue
        if division == WHOLE or len({cache.rows[row]["group"] for row in plan.split.train}) >= FEWEST:
            plans.append(plan)
    return plans


def data_curves(plans: Sequence[SweepPlan], *, advance: Advance = silent) -> list[DataCurve]:
    """Trains what is pending of the portions of a task and returns a curve for each run on each point.

    Points are in the order of computation. A portion on which a run failed, because so few samples lack a kind of
    answer, is missing in its curve. Raises `ProbeError` where all samples together fail.
    """
    by_portion: list[dict[tuple[str, str, str], Result]] = []
    for plan in plans:
        results = _trained(plan, advance, is_whole=plan.division == WHOLE)
        by_portion.append({(own.task, own.point, own.run): own for own in results})
    curves = []
    for key, whole in by_portion[-1].items():
        if whole.point != MEAN_PREDICTOR:
            own = [(plan, found[key]) for plan, found in zip(plans, by_portion, strict=True) if key in found]
            curves.append(DataCurve(results=tuple(result for _, result in own), code=_code(own)))
    return curves


def _trained(plan: SweepPlan, advance: Advance, *, is_whole: bool) -> list[Result]:
    try:
        return train_split(plan, loggers=("none",), advance=advance)
    except ProbeError:
        if is_whole:
            raise
    runs = ((point, run) for point, own in plan.runs.items() for run in own)
    return [result for point, run in runs if (result := plan.store.finished(point, run)) is not None]


def _code(portions: Sequence[tuple[SweepPlan, Result]]) -> OnlineCode | None:
    plan, whole = portions[-1]
    task = plan.tasks[whole.task]
    if not isinstance(task, PerSample) or task.closed_form != "class":
        return None
    classes, bits = task.outputs.channels, dict[int, float]()
    for number, (own, _) in enumerate(portions):
        block = [row for row in _seen(own) if row in own.targets[whole.task] and row not in bits]
        uniform = dict.fromkeys(block, float(np.log2(classes)))
        bits |= _bits(*portions[number - 1], block, plan.split) if number else uniform
    groups = [str(plan.cache.rows[row]["group"]) for row in bits]
    return online_code(list(bits.values()), groups, classes, resamples=plan.sweep.options.resamples)


def _seen(plan: SweepPlan) -> tuple[int, ...]:
    return (*plan.split.train, *plan.split.validation)


def _bits(plan: SweepPlan, result: Result, rows: Sequence[int], split: Split) -> dict[int, float]:
    """Returns -log2 of the probability that a run's head gives to the true class, of these samples of a split."""
    task, targets = plan.tasks[result.task], plan.targets[result.task]
    assert isinstance(task, PerSample)  # noqa: S101 - others have no code
    path = plan.store.path(result.point, next(run for run in plan.runs[result.point] if run.name == result.run))
    head, standardization = load_head(path.with_suffix(".safetensors"), result.identity)
    options = plan.sweep.options
    data = FeatureData(open_sources(plan.cache, result.point), split, {result.task: targets}, options, tokens=True)
    bits: dict[int, float] = {}
    for first in range(0, len(rows), BATCH):
        chosen = rows[first : first + BATCH]
        with torch.no_grad():
            prediction = head(standardization(data.batch(chosen).features.to("cpu")))
            losses_B = task.sample_losses(prediction, torch.stack([targets[row] for row in chosen]))
        bits |= zip(chosen, (losses_B.double() / np.log(2)).tolist(), strict=True)
    return bits
