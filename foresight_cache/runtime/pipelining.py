"""Stages of a pipeline in threads, in order and with a bound: work done ahead of its use, and work done after it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def prefetch(items: Iterable[_In], work: Callable[[_In], _Out], *, threads: int) -> Generator[_Out]:
    """Yields `map(work, items)`, with up to `threads` + 1 results ready or under way when one is yielded.

    >>> list(prefetch(range(5), lambda number: number * number, threads=2))
    [0, 1, 4, 9, 16]

    Where `items` fails, the results before that are still yielded; where `work` fails, nothing after it is. The
    threads have ended when the last result is yielded: who knows the number of results drops the generator there, and
    an interrupt that came while Python waits for threads on behalf of a dropped generator would be lost.
    """
    queue: deque[Future[_Out]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for future in _submitted(pool, items, work):
            queue.append(future)
            if len(queue) > threads:
                yield queue.popleft().result()
        while len(queue) > 1:
            yield queue.popleft().result()
        wait(queue)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    for last in queue:
        yield last.result()


def _submitted(pool: ThreadPoolExecutor, items: Iterable[_In], work: Callable[[_In], _Out]) -> Iterator["Future[_Out]"]:
    """Yields a future per item; a failure of `items` becomes a future that fails, in its turn."""
    try:
        for item in items:
            yield pool.submit(work, item)
    except Exception as error:
        failed: Future[_Out] = Future()
        failed.set_exception(error)
        yield failed


class BackgroundWorker:
    """A context manager that does work in one thread, in order; leaving it waits for all that was put.

    After a failure, pending work is skipped.

    >>> done = []
    >>> with BackgroundWorker(waiting=1) as behind:
    ...     for number in range(3):
    ...         behind.put(lambda number=number: done.append(number))
    >>> done
    [0, 1, 2]
    """

    def __init__(self, waiting: int) -> None:
        """Keeps at most `waiting` pieces of work put and not done when `put` returns."""
        self._waiting = waiting
        self._queue: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(1)
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wait(self._queue)
        self._thread.shutdown()
        if error is None:
            self.drain()

    def put(self, work: Callable[[], None]) -> None:
        """Adds a piece of work. Raises what earlier work raised."""
        self._queue.append(self._thread.submit(self._run, work))
        self._wait(self._waiting)

    def drain(self) -> None:
        """Waits for all that was put. Raises what it raised."""
        self._wait(0)

    def _wait(self, most: int) -> None:
        while len(self._queue) > most:
            self._queue.popleft().result()

    def _run(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise
