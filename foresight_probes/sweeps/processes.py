"""A sweep shared out over several processes, point by point.

A probe is small and its pass over the features long, so processes take whole points and not parts of batches: nothing
is synchronised, and every result is what a single process would have made.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

from foresight_cache.errors import Interrupted, ProbeError
from foresight_cache.reader import Cache, open_cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result
from foresight_probes.sweeps.plan import Sweep, plan_sweep
from foresight_probes.sweeps.run import train_sweep

VISIBLE = "CUDA_VISIBLE_DEVICES"


def train_on(
    cache: Cache,
    sweep: Sweep,
    out: Path,
    *,
    devices: int,
    loggers: Sequence[str] = (),
    advance: Advance = silent,
) -> list[Result]:
    """`train_sweep` with so many processes; `advance` is told of each point when it is finished.

    Raises as `train_sweep` does.
    """
    pending = [point for point in plan_sweep(cache, sweep, out).pending if point != MEAN_PREDICTOR]
    if devices > 1 and len(pending) > 1:
        first, *others = pending
        train_sweep(cache, replace(sweep, points=(first,)), out, loggers=loggers, advance=advance)  # with what all need
        _share_out(cache, sweep, out, others, devices, loggers, advance)
    return train_sweep(cache, sweep, out, loggers=loggers, advance=advance)


def _share_out(
    cache: Cache, sweep: Sweep, out: Path, points: Sequence[str], devices: int, loggers: Sequence[str], advance: Advance
) -> None:
    context = get_context("spawn")  # a forked process cannot use the GPU
    numbers: Queue[int] = context.Queue()
    for number in range(devices):
        numbers.put(number)
    problems = []
    with ProcessPoolExecutor(devices, mp_context=context, initializer=_begin, initargs=(numbers,)) as pool:
        work = [pool.submit(_train_point, cache.path, replace(sweep, points=(p,)), out, tuple(loggers)) for p in points]
        try:
            for finished in as_completed(work):
                samples, size, problem = finished.result()
                advance(samples, size)
                problems += [problem] if problem else []
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise Interrupted("interrupted; finished runs are kept, run it again to go on.") from None
    if problems:
        raise ProbeError(problems[0])


def _begin(numbers: "Queue[int]") -> None:
    """Each process sees one of the GPUs that this one was given."""
    number = numbers.get()
    given = [each for each in os.environ.get(VISIBLE, "").split(",") if each]
    os.environ[VISIBLE] = given[number % len(given)] if given else str(number)


def _train_point(place: str, sweep: Sweep, out: Path, loggers: tuple[str, ...]) -> tuple[int, int, str]:
    """Samples and bytes that were trained on, and what went wrong."""
    done = [0, 0]

    def advance(samples: int, size: int) -> None:
        done[0] += samples
        done[1] += size

    try:
        train_sweep(open_cache(place), sweep, out, loggers=loggers, advance=advance)
    except ProbeError as error:
        return done[0], done[1], str(error)
    return done[0], done[1], ""
