"""Processes that train the runs of a study beside the one that carries it out: they share the points of each group.

A helper does what another call of the same study would do, so that whoever comes, ends or dies decides nothing: points
are shared by claims, and results are files.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

import torch

from foresight_cache.errors import ForesightError
from foresight_cache.reader import Cache
from foresight_cache.runtime.interruption import end_with_parent
from foresight_cache.runtime.progress import Advance
from foresight_cache.runtime.schedulers import see_one_gpu
from foresight_cache.runtime.work_share import WorkShare
from foresight_probes.sweeps.divisions import Division
from foresight_probes.sweeps.plan import SweepPlan, plan_sweep
from foresight_probes.sweeps.split_runs import train_split
from foresight_probes.sweeps.sweep import Sweep

LAST_SECONDS = 5.0
"""Seconds that reports have at the end."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Group:
    """A group of runs as it is sent to another process."""

    open_again: Callable[[], Cache]
    sweep: Sweep
    root: Path
    division: Division


@contextmanager
def helpers(plans: Mapping[str, SweepPlan], count: int, loggers: Sequence[str], advance: Advance) -> Iterator[None]:
    """Starts so many processes that train all groups in their order, each with a GPU of its own where there are GPUs.

    They end with the block. What they train is reported to `advance`, in a thread. A run that fails in one of them is
    kept as failed, and whoever needs it tells it; a process that dies takes nothing with it but the point at hand.
    """
    if not count:
        yield
        return
    context = get_context("spawn")  # a forked process cannot use the GPU
    done = context.Queue()
    groups = tuple(_Group(plan.cache.reopen, plan.sweep, plan.root, plan.division) for plan in plans.values())
    threads = max(1, torch.get_num_threads() // (count + 1))
    processes = [
        context.Process(target=_help, args=(number, threads, groups, tuple(loggers), done), daemon=True)
        for number in range(1, count + 1)
    ]
    over = threading.Event()
    listener = threading.Thread(target=_report, args=(done, over, advance), name="helpers", daemon=True)
    usual = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        listener.start()
        for process in processes:
            process.start()
        yield
    finally:
        torch.set_num_threads(usual)
        for process in (own for own in processes if own.pid is not None):
            process.terminate()
            process.join()
        over.set()
        listener.join(LAST_SECONDS)  # no longer: what a process has left half written is never whole


def _report(done: "Queue[tuple[int, int]]", over: threading.Event, advance: Advance) -> None:
    while not over.is_set():
        with suppress(Empty):
            advance(*done.get(timeout=_POLL_SECONDS))


def _help(
    number: int,
    threads: int,
    groups: Sequence[_Group],
    loggers: Sequence[str],
    done: "Queue[tuple[int, int]]",
) -> None:
    """Trains all groups beside others, and waits for none; errors are told by who carries the study out."""
    end_with_parent()
    see_one_gpu(number)
    torch.set_num_threads(threads)
    share = WorkShare(begin=Fraction(number, number + 1), waits=False)
    for group in groups:
        with suppress(ForesightError):
            plan = plan_sweep(group.open_again(), group.sweep, group.root, group.division)
            for split in reversed(list(_splits(plan))):  # to meet the others in the middle
                with suppress(ForesightError):  # among them that others have all that is left
                    train_split(split, loggers=loggers, advance=lambda *finished: done.put(finished), share=share)


def _splits(plan: SweepPlan) -> Iterator[SweepPlan]:
    """Yields the parts of a plan that have one split each: its folds or itself, and those of its refits."""
    yield from plan.folds or (plan,)
    for refit in plan.refits:
        yield from _splits(refit)
