"""A sweep shared out over several processes, point by point.

A probe is small and its pass over the features long, so processes take whole points and not parts of batches: nothing
is synchronised, and every result is what a single process would have made.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

from foresight_cache.errors import Interrupted, ProbeError, UsageError
from foresight_cache.reader import Cache
from foresight_cache.runtime.interruption import end_with_parent
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.runtime.schedulers import see_one_gpu
from foresight_cache.runtime.work_share import WHOLE, WorkShare, rotated
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result, in_order
from foresight_probes.sweeps.comparisons import with_controls
from foresight_probes.sweeps.divisions import Division
from foresight_probes.sweeps.failed_runs import FailedRun, RunsFailed
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.run import train_divisions
from foresight_probes.sweeps.split_runs import train_split
from foresight_probes.sweeps.sweep import Sweep

ShareOut = Callable[[SweepPlan, Sequence[str], Sequence[str], Advance], list[FailedRun]]
"""Function that trains points of a plan elsewhere, with these logs, and returns the runs that failed."""


def train_on(
    plan: SweepPlan,
    *,
    devices: int,
    loggers: Sequence[str] = (),
    advance: Advance = silent,
    share: WorkShare = WHOLE,
    elsewhere: ShareOut | None = None,
) -> list[Result]:
    """Trains as `train_sweep` does, with so many processes; `advance` is called once for each point that is finished.

    The first point and the mean predictor, which all others need, are trained here; or the mean predictor alone, where
    `elsewhere` trains the points, such as on a cluster, whatever `devices` is. Raises as `train_sweep` does, and
    `UsageError` for several processes with a `share` that does not wait.
    """
    if devices > 1 and not share.waits:
        raise UsageError(f"--no-wait with --devices {devices}, expected one process; start the command several times")
    return train_divisions(plan, lambda part: _train_split(part, devices, loggers, advance, share, elsewhere))


def _train_split(
    plan: SweepPlan,
    devices: int,
    loggers: Sequence[str],
    advance: Advance,
    share: WorkShare,
    elsewhere: ShareOut | None,
) -> list[Result]:
    points = rotated([point for point in plan.pending if point != MEAN_PREDICTOR], share.begin)
    if not elsewhere and (devices == 1 or len(points) < 2):
        return train_split(plan, loggers=loggers, advance=advance, share=share)
    here, others = ([], points) if elsewhere else (points[:1], points[1:])
    failures = list(plan.failed)
    try:
        train_split(plan.limited_to((MEAN_PREDICTOR, *here)), loggers=loggers, advance=advance)
    except RunsFailed as error:
        failures += error.failures
    if elsewhere:
        failures += elsewhere(plan, others, loggers, advance) if others else []
    else:
        failures += _share_out(plan, others, devices, loggers, advance)
    wanted = [(point, run) for point, runs in plan.pending.items() for run in runs]
    trained = [replace(own, trained_now=True) for key in wanted if (own := plan.store.finished(*key))]
    results = in_order(with_controls(plan, [*plan.finished, *trained]))
    if failures:
        raise RunsFailed(failures)
    return results


def _share_out(
    plan: SweepPlan, points: Sequence[str], devices: int, loggers: Sequence[str], advance: Advance
) -> list[FailedRun]:
    """Trains points in processes, and returns the runs that failed."""
    context = get_context("spawn")  # a forked process cannot use the GPU
    numbers: Queue[int] = context.Queue()
    for number in range(devices):
        numbers.put(number)
    failures: list[FailedRun] = []
    with ProcessPoolExecutor(devices, mp_context=context, initializer=_begin, initargs=(numbers,)) as pool:
        shared = (plan.cache.reopen, plan.sweep, plan.root, plan.division, tuple(loggers))
        work = [pool.submit(train_point, *shared, point) for point in points]
        try:
            for finished in as_completed(work):
                samples, size, failed = finished.result()
                advance(samples, size)
                failures += failed
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise Interrupted("interrupted; finished runs are kept, run it again to go on") from None
    return failures


def _begin(numbers: "Queue[int]") -> None:
    """Lets a process see one of the GPUs that its parent sees, and end with it."""
    end_with_parent()
    see_one_gpu(numbers.get())


def train_point(
    open_again: Callable[[], Cache],
    sweep: Sweep,
    root: Path,
    division: Division,
    loggers: tuple[str, ...],
    point: str,
) -> tuple[int, int, tuple[FailedRun, ...]]:
    """Plans and trains one point; returns samples and bytes that were trained on, and the runs that failed."""
    done = [0, 0]

    def advance(samples: int, size: int) -> None:
        done[0] += samples
        done[1] += size

    try:
        plan = plan_sweep(open_again(), sweep, root, division).limited_to((point,))
        train_split(plan, loggers=loggers, advance=advance)
    except RunsFailed as error:
        return done[0], done[1], error.failures
    except ProbeError as error:
        return done[0], done[1], (FailedRun(point, str(error)),)
    return done[0], done[1], ()
