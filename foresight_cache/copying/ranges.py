"""Objects are read in large ranges, many at once over all objects, in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from threading import BoundedSemaphore
from types import TracebackType
from typing import Any, Self

from foresight_cache.format.stores import Store

RANGE = 16 << 20
"""Bytes of a range: what object stores deliver best."""
AT_ONCE = 32
"""Ranges that are asked for or wait in memory, of all objects together."""
AHEAD = 8
"""Ranges of one object that are asked for before they are needed."""


class RangeReader:
    """A context manager with threads that read ranges; any number of threads may ask it for objects.

    Memory is bounded by `AT_ONCE` ranges, however many objects are read at once.
    """

    def __init__(self, size: int = RANGE) -> None:
        self._size = size
        self._threads = ThreadPoolExecutor(AT_ONCE, "range")
        self._room = BoundedSemaphore(AT_ONCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def blocks(self, store: Store, key: str) -> Iterator[bytes]:
        """Yields the bytes of an object in order; fewer where it becomes shorter meanwhile.

        Raises `FileNotFoundError`, and `CacheError` where the store cannot be reached.
        """
        size, read = store.ranges(key)
        with closing(self._ordered(read, size)) as blocks:
            yield from blocks

    def _ordered(self, read: Callable[[int, int], Any], size: int) -> Generator[bytes]:
        under_way: deque[Future[Any]] = deque()
        starts = deque(range(0, size, self._size))
        try:
            while starts or under_way:
                # Only who has nothing under way waits for room: all others hold some that they give back.
                while starts and len(under_way) < AHEAD and self._room.acquire(blocking=not under_way):
                    start = starts.popleft()
                    under_way.append(self._submitted(read, start, min(start + self._size, size)))
                yield under_way[0].result()
                under_way.popleft()
                self._room.release()
        finally:
            for future in under_way:
                future.cancel()
            wait(under_way)
            for _ in under_way:
                self._room.release()

    def _submitted(self, read: Callable[[int, int], Any], start: int, stop: int) -> "Future[Any]":
        try:
            return self._threads.submit(read, start, stop)
        except BaseException:
            self._room.release()
            raise
