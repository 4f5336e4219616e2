"""Work done ahead of its use, in threads, in order, with a bound on how far ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def prefetch(items: Iterable[_In], work: Callable[[_In], _Out], *, threads: int) -> Generator[_Out]:
    """`map(work, items)` with up to `threads` + 1 results ready or under way.

    >>> list(prefetch(range(5), lambda number: number * number, threads=2))
    [0, 1, 4, 9, 16]

    Where `items` fails, the results before that are still yielded; where `work` fails, nothing after it is.
    """
    queue: deque[Future[_Out]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for future in _submitted(pool, items, work):
            queue.append(future)
            if len(queue) > threads:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ThreadPoolExecutor, items: Iterable[_In], work: Callable[[_In], _Out]) -> Iterator["Future[_Out]"]:
    """A future per item; a failure of `items` becomes a future that fails, in its place."""
    try:
        for item in items:
            yield pool.submit(work, item)
    except Exception as error:
        failed: Future[_Out] = Future()
        failed.set_exception(error)
        yield failed
