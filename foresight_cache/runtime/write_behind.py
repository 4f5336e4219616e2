"""Work done behind the caller's back: in order, in one thread, with a bound on how much may wait."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self


class WriteBehind:
    """A context manager; leaving it waits for all that was put. After a failure nothing more is done.

    >>> done = []
    >>> with WriteBehind(waiting=1) as behind:
    ...     for number in range(3):
    ...         behind.put(lambda number=number: done.append(number))
    >>> done
    [0, 1, 2]
    """

    def __init__(self, waiting: int) -> None:
        """With at most `waiting` pieces of work put and not done when `put` returns."""
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
        """Raises what earlier work raised."""
        self._queue.append(self._thread.submit(self._done, work))
        while len(self._queue) > self._waiting:
            self._queue.popleft().result()

    def drain(self) -> None:
        """Waits for all that was put. Raises what it raised."""
        while self._queue:
            self._queue.popleft().result()

    def _done(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise
