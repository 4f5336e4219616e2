"""Threads that share out the heads of a bank, whose work is independent."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import torch

_Piece = TypeVar("_Piece")


class Threads:
    """A pool of `count` threads, the caller's among them, that lives from `with` on to its end.

    In between, an operation of torch has a single thread, unless it is called `inside`: in small operations several
    threads only wait for each other, many times longer on a busy machine. So what a piece of work gives, to the last
    bit, depends on whether it is done inside, and not on what is done beside it.
    """

    def __init__(self, count: int = 1) -> None:
        self._count, self._usual = count, count
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self._usual = torch.get_num_threads()
        torch.set_num_threads(1)
        if self._count > 1:
            self._pool = ThreadPoolExecutor(self._count - 1, "probes", partial(torch.set_num_threads, 1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown()
        self._pool = None
        torch.set_num_threads(self._usual)

    def side_by_side(self, work: Callable[[_Piece], None], pieces: Sequence[_Piece]) -> None:
        """Works on pieces beside each other; returns when all are done, and raises what one of them raised."""
        shares = max(1, min(self._count, len(pieces))) if self._pool else 1

        def share(number: int) -> None:
            for piece in pieces[number::shares]:
                work(piece)

        waiting = [self._pool.submit(share, number) for number in range(1, shares)] if self._pool else []
        try:
            share(0)
        finally:
            wait(waiting)
        for future in waiting:
            future.result()

    def in_turn(self, work: Callable[[_Piece], None], pieces: Sequence[_Piece]) -> None:
        """Works on one piece after the other, each `inside`: for those that are large."""
        with self.inside():
            for piece in pieces:
                work(piece)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Gives each operation of torch all threads in its context."""
        usual = torch.get_num_threads()
        torch.set_num_threads(max(usual, self._count))
        try:
            yield
        finally:
            torch.set_num_threads(usual)
