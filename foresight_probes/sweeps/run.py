"""A sweep from its plan to results, once or with folds and refits."""

from collections.abc import Callable, Sequence
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.controls import parts
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, in_order
from foresight_probes.sweeps.comparisons import with_controls
from foresight_probes.sweeps.failed_runs import FailedRun, RunsFailed
from foresight_probes.sweeps.folds import pooled_results
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.refits import with_refits
from foresight_probes.sweeps.split_runs import train_split
from foresight_probes.sweeps.sweep import Sweep

TrainSplit = Callable[[SweepPlan], list[Result]]
"""Function that trains what is pending of a plan of one split, and returns its results as `train_split` does."""


def train(
    cache: Cache,
    *,
    tasks: Sequence[str],
    points: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    out: Path,
    options: TrainingOptions | None = None,
    advance: Advance = silent,
) -> list[Result]:
    """Plans a sweep without grids and trains it without logs; see `Sweep`, `plan_sweep` and `train_sweep`."""
    sweep = Sweep(
        tasks=tuple(tasks),
        points=None if points is None else tuple(points),
        heads=None if heads is None else tuple(heads),
        seeds=tuple(seeds),
        options=options or TrainingOptions(),
    )
    return train_sweep(plan_sweep(cache, sweep, out), advance=advance)


def train_sweep(plan: SweepPlan, *, loggers: Sequence[str] = (), advance: Advance = silent) -> list[Result]:
    """Trains every pending run of a plan, its folds and its refits; see `train_split`."""
    return train_divisions(plan, lambda part: train_split(part, loggers=loggers, advance=advance))


def train_divisions(plan: SweepPlan, train_one: TrainSplit) -> list[Result]:
    """Trains a plan with its folds and refits, each of one split by `train_one`.

    The results of folds are taken together, each sample as it was tested, and the intervals of results with refits
    count how much these differ. Raises `RunsFailed`, after all others are finished, for runs that failed; refits may.
    """
    failures: list[FailedRun] = []
    if plan.folds:
        for fold in plan.folds:
            failures += _failures(fold, train_one)
        pooled, undefined = pooled_results(plan)
        failures += undefined
        results = with_controls(plan, pooled)
    else:
        try:
            results = train_one(plan)
        except RunsFailed as error:
            failures += error.failures
            results = _finished(plan)
    for refit in plan.refits:
        _failures(refit, train_one)  # of such a run the interval does not count refitting
    results = with_refits(plan, results)
    if failures:
        raise RunsFailed(failures)
    return in_order(results)


def _finished(plan: SweepPlan) -> list[Result]:
    """Returns what there is, of runs that are no controls."""
    own = [(point, run) for point, runs in plan.runs.items() for run in runs if not parts(run.task)[1]]
    return [result for key in own if (result := plan.store.finished(*key)) is not None]


def _failures(plan: SweepPlan, train_one: TrainSplit) -> Sequence[FailedRun]:
    """Trains a part of a sweep, and returns its runs that failed."""
    try:
        train_divisions(plan, train_one)
    except RunsFailed as error:
        return error.failures
    except ProbeError as error:
        return [FailedRun("", str(error))]
    return []
