"""From the plan of one split to results: train what is pending, point by point, and write one result per run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from foresight_cache.errors import Interrupted, ProbeError
from foresight_cache.runtime.claims import claim, sweep
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.runtime.renewal import renewed
from foresight_cache.runtime.work_share import WHOLE, WorkShare, rotated
from foresight_probes.controls import parts
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result, in_order
from foresight_probes.sweeps.comparisons import with_controls
from foresight_probes.sweeps.constant_runs import compute_mean_predictors
from foresight_probes.sweeps.failed_runs import FailedRun, RunsFailed
from foresight_probes.sweeps.plan import SweepPlan
from foresight_probes.sweeps.point_runs import PointRuns
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.solvers import solver_of

CLAIMS = ".claims"
"""Folder, among the results, of the claims on points of the processes that are at work."""


def train_split(
    plan: SweepPlan, *, loggers: Sequence[str] = (), advance: Advance = silent, share: WorkShare = WHOLE
) -> list[Result]:
    """Trains every pending run, the mean predictor that the others are compared with first.

    All heads of a point are trained in one pass. Each result is written as soon as its point is finished, so after an
    interruption a new plan goes on from there; `Result.trained_now` tells old and new apart.

    Any number of processes may do so at once, with one folder of results: they share out the points, each trains those
    that no other has claimed, and returns when all are there. The points of a process that is killed go to the others.

    Args:
        plan: Its folder of results is made where it does not exist.
        loggers: Names of `loggers`, to `plan.out/logs/<point>`.
        advance: Called after each step with its numbers of samples and of bytes of features.
        share: Where among the points to begin, and whether to wait for those of others; its part is not read.

    Returns: All results but those of controls, old and new, whichever process made them, in the order of computation;
    the mean predictor first.

    Raises: `RunsFailed`, after all others are finished, for runs whose loss was not finite or whose metric is not
    defined, also where that is known from an earlier call; `UnknownName` and `MissingExtra` for a logger;
    `Interrupted`, also where others have all that is left and `share` does not wait.
    """
    results = {_key(result): result for result in plan.finished}
    failures = list(plan.failed)
    pending = _in_order(plan, share)
    sweep(plan.out / CLAIMS)
    while pending:
        with _claimed(plan.out, tuple(pending), waits=share.waits) as point:
            finished, failed, runs = _finished_meanwhile(plan, point, pending.pop(point))
            failures += failed
            if point == MEAN_PREDICTOR:
                constants, unfit = compute_mean_predictors(plan, runs)
                finished, runs, failures = [*finished, *constants], (), [*failures, *unfit]
            mean_predictors = {result.task: result for result in results.values() if result.point == MEAN_PREDICTOR}
            for part in _parts(plan, runs):
                point_runs = PointRuns(plan, point, part, mean_predictors)
                failures += point_runs.train(loggers, advance)
                finished += point_runs.results
        results |= {_key(result): result for result in finished}
    if failures:
        with_controls(plan, results.values())
        raise RunsFailed(failures)
    return in_order(with_controls(plan, results.values()))


def _in_order(plan: SweepPlan, share: WorkShare) -> dict[str, Sequence[RunSpec]]:
    """Returns the pending runs by point, in the order in which this process looks at them.

    The mean predictor comes first, since all others need it.
    """
    first = [point for point in plan.pending if point == MEAN_PREDICTOR]
    others = [point for point in plan.pending if point != MEAN_PREDICTOR]
    return {point: plan.pending[point] for point in [*first, *rotated(others, share.begin)]}


def _key(result: Result) -> tuple[str, ...]:
    return result.control, result.point, result.task, result.run


@contextmanager
def _claimed(out: Path, points: Sequence[str], *, waits: bool) -> Iterator[str]:
    """Claims the first point that no other process has, or waits for the first one; all need the mean predictor.

    Raises `Interrupted` where it does not wait, but for the mean predictor.
    """
    free = points[:1] if points[0] == MEAN_PREDICTOR else points
    try:
        out.mkdir(parents=True, exist_ok=True)
        claims = (claim(out / CLAIMS, point) for point in free)
        held = next(filter(None, claims), None)
        if not (held or waits or points[0] == MEAN_PREDICTOR):
            raise Interrupted(
                f"nothing is left but what other processes train, {len(points)} points of {out}; "
                "run it again once they have ended, to see to what they leave"
            )
        held = held or claim(out / CLAIMS, points[0], wait=True)
    except OSError as error:
        raise ProbeError(f"cannot write results to {out}: {error.strerror or error}; name another --out") from error
    assert held  # noqa: S101 - waiting ends with a claim
    try:
        with renewed(held):
            yield held.name
    finally:
        held.release()


def _finished_meanwhile(
    plan: SweepPlan, point: str, runs: Sequence[RunSpec]
) -> tuple[list[Result], list[FailedRun], tuple[RunSpec, ...]]:
    """What became of runs in other processes since the plan was made, and the runs that are still to be trained."""
    results = {run: plan.store.finished(point, run) for run in runs}
    failed = {run: own for run in runs if not results[run] and (own := plan.store.failed(point, run))}
    left = tuple(run for run in runs if not results[run] and run not in failed)
    failures = [own for run, own in failed.items() if not parts(run.task)[1]]
    return [result for result in results.values() if result], failures, left


def _parts(plan: SweepPlan, runs: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Runs that are trained step by step, and closed forms."""
    closed = [run for run in runs if solver_of(plan.tasks[run.task], run.head)]
    stepwise = [run for run in runs if run not in closed]
    return [part for part in (stepwise, closed) if part]
