"""Signs of life of claims, for those who cannot see the process that has them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from foresight_cache.errors import CacheError

RENEWAL_SECONDS = 60.0
"""Seconds between two signs of life."""


class Renewable(Protocol):
    def renew(self) -> bool: ...


class Renewal:
    """Thread that renews claims as long as they are held; it begins with the first one."""

    def __init__(self) -> None:
        self._held: dict[int, Renewable] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, held: Renewable) -> None:
        self._held[id(held)] = held
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="renewal of claims", daemon=True)
            self._thread.start()

    def remove(self, held: Renewable) -> None:
        self._held.pop(id(held), None)

    def close(self) -> None:
        """Ends the thread, whatever is still held."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(RENEWAL_SECONDS):
            for held in list(self._held.values()):
                with suppress(OSError, CacheError):  # others may then do the same work, which harms nothing
                    held.renew()


@contextmanager
def renewed(held: Renewable) -> Iterator[None]:
    """Renews a claim during the block."""
    renewal = Renewal()
    renewal.add(held)
    try:
        yield
    finally:
        renewal.close()
