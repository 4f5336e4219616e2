"""Work done ahead of its use, in threads, in order, with a bound on how far ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def prefetch(items: Iterable[_In], work: Callable[[_In], _Out], *, threads: int) -> Iterator[_Out]:
    """`map(work, items)` with up to `threads` + 1 results ready or under way.

    >>> list(prefetch(range(5), lambda number: number * number, threads=2))
    [0, 1, 4, 9, 16]
    """
    queue: deque[Future[_Out]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            queue.append(pool.submit(work, item))
            if len(queue) > threads:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
