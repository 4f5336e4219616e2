"""Signals that wait until they may interrupt."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from foresight_cache.runtime.interruption import deferred_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_waits_for_the_check(number: signal.Signals) -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as check:
        check()
        os.kill(os.getpid(), number)
        steps.append("finished")
        check()
        steps.append("never")
    assert steps == ["finished"]


def test_a_signal_that_nobody_checked_is_raised_at_the_end() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        steps.append("finished")
    assert steps == ["finished"]


def test_a_second_signal_does_not_wait() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("first")
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("never")
    assert steps == ["first"]


def test_handlers_are_put_back_also_after_an_error() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = list(map(signal.getsignal, numbers))
    with pytest.raises(ValueError, match="inner"), deferred_interrupts():
        raise ValueError("inner")
    assert before == list(map(signal.getsignal, numbers))


def test_another_thread_has_nothing_to_wait_for() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with deferred_interrupts() as check:
                check()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


PARENT = """
import multiprocessing, sys, time
from foresight_cache.runtime.interruption import end_with_parent

def child():
    end_with_parent()
    print(multiprocessing.current_process().pid, flush=True)
    time.sleep(60)

if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=child).start()
    time.sleep(60)
"""


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline()
        parent.kill()
        killed = time.monotonic()
        parent.stdout.read()  # ends when the child, which holds the pipe, has ended
    assert time.monotonic() - killed < 20
