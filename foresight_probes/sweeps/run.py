"""From a plan to results: train what is pending, point by point, and write one result per run."""

from collections.abc import Sequence
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes import heads as head_registry
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.options import TrainingOptions
from foresight_probes.results.result import Result, in_order
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.point_runs import PointRuns
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.training.run_spec import RunSpec


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
    """Trains every pending run, the mean predictor that the others are compared with first.

    All heads of a point are trained in one pass. Each result is written as soon as its point is finished, so after an
    interruption a new plan goes on from there; `Result.trained_now` tells old and new apart.

    Args:
        plan: Its folder of results is made where it does not exist.
        loggers: Names of `loggers`, to `plan.out/logs/<point>`.
        advance: Called after each step with its numbers of samples and of bytes of features.

    Returns: All results, old and new, in the order of computation; the mean predictor first.

    Raises: `ProbeError`, after all others are finished, for runs whose loss was not finite; `UnknownName` and
    `MissingExtra` for a logger; `Interrupted`.
    """
    results = {(result.point, result.task, result.run): result for result in plan.finished}
    failures: list[str] = []
    for point, runs in plan.pending.items():
        mean_predictors = {(r.task, r.head, r.seed): r for r in results.values() if r.point == MEAN_PREDICTOR}
        for part in _parts(runs):
            point_runs = PointRuns(plan, point, part, mean_predictors)
            failures += point_runs.train(loggers, advance)
            results |= {(result.point, result.task, result.run): result for result in point_runs.results}
    if failures:
        more = f" ({len(failures) - 1} more runs failed as well)" if len(failures) > 1 else ""
        raise ProbeError(failures[0] + more)
    return in_order(results.values())


def _parts(runs: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Runs that are trained step by step, and closed forms."""
    closed = [run for run in runs if head_registry.solver(run.head)]
    stepwise = [run for run in runs if not head_registry.solver(run.head)]
    return [part for part in (stepwise, closed) if part]
