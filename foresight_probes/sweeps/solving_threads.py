"""The threads with which closed forms are solved: one where the work is small.

In small operations several threads only wait for each other. A solver makes thousands of them, which take ten times as
long with two threads as with one, and a hundred times as long beside another busy process.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from foresight_probes.training.solver_data import SolverData

SMALL = 2**30
"""Multiplications for one factorisation, a second of one core, up to which one thread does it."""


def is_small(data: SolverData) -> bool:
    """Tells whether the largest factorisation of the runs is small: rows × width × the lesser of both."""
    sizes = ((data.most_rows(run), data.heads[run].in_features) for run in range(len(data.runs)))
    return max((rows * width * min(rows, width) for rows, width in sizes), default=0) <= SMALL


@contextmanager
def one_thread(*, wanted: bool) -> Iterator[None]:
    """Gives each operation of torch, and of the libraries of numpy and SciPy, one thread where that is wanted."""
    if not wanted:
        yield
        return
    usual = torch.get_num_threads()
    try:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(usual)
