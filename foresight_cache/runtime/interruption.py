"""Interruption between two steps instead of inside one, and the end of processes with that of their parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Signals by which schedulers announce the end of a job's time; the last two are what some are told to send first."""
_SIGNALS = (signal.SIGINT, *STOP_SIGNALS)


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], None]]:
    """Makes SIGINT and `STOP_SIGNALS` wait for the function that is yielded: it raises `KeyboardInterrupt` after one.

    At the end of the block what still waits is raised. A second signal interrupts at once, for whoever is in a hurry.
    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    came: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, remember) for number in _SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    check()


def end_with_parent() -> None:
    """Lets a process that `multiprocessing` started end when its parent does, also when that is killed.

    Otherwise it would work on, unseen, at what nobody waits for. Does nothing in a process without such a parent.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
