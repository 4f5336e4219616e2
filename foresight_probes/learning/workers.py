"""Threads that share out work whose pieces do not see each other."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import torch

_Piece = TypeVar("_Piece")


class Workers:
    """So many threads, the caller's among them; torch computes each piece of `each` in one of them alone.

    Unlike the threads inside of torch's operations they do not wait for each other at every operation, and whatever
    their number, results are the same to the last bit.
    """

    def __init__(self, count: int = 1) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count - 1, "probes", partial(torch.set_num_threads, 1)) if count > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown()

    def each(self, work: Callable[[_Piece], None], pieces: Sequence[_Piece]) -> None:
        """Returns when all pieces are done; raises what one of them raised."""

        def share(number: int) -> None:
            for piece in pieces[number :: self._count]:
                work(piece)

        others = range(1, min(self._count, len(pieces)))
        waiting = [self._pool.submit(share, number) for number in others] if self._pool else []
        share(0)
        for future in waiting:
            future.result()

    def in_turn(self, work: Callable[[_Piece], None], pieces: Sequence[_Piece]) -> None:
        """One piece after the other, with so many threads inside of torch's operations: for pieces that are large."""
        usual = torch.get_num_threads()
        torch.set_num_threads(max(usual, self._count))
        try:
            for piece in pieces:
                work(piece)
        finally:
            torch.set_num_threads(usual)
