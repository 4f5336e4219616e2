"""Stages that run in threads: their order, their bounds, and what becomes of a failure."""

import threading
from collections.abc import Iterator

import pytest

from foresight_cache.runtime.pipelining import BackgroundWorker, prefetch


def numbers_then_failure() -> Iterator[int]:
    yield from range(4)
    raise OSError("the source ended early")


def test_what_came_before_a_failing_source_is_yielded() -> None:
    results = []
    with pytest.raises(OSError, match="ended early"):
        for number in prefetch(numbers_then_failure(), lambda number: number, threads=8):
            results.append(number)
    assert results == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_nothing_after_failing_work_is_yielded(threads: int) -> None:
    results = []
    with pytest.raises(ZeroDivisionError):
        for number in prefetch([2, 1, 0, 5, 6], lambda number: 4 // number, threads=threads):
            results.append(number)
    assert results == [2, 4]


def test_it_runs_no_further_ahead_than_told() -> None:
    taken = []

    def source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    drawn = prefetch(source(), lambda number: number, threads=3)
    next(drawn)
    assert len(taken) <= 5
    drawn.close()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_no_thread_is_left_to_wait_for_when_the_last_result_is_there(threads: int) -> None:
    """Lightning counts the batches and drops the iterator at the last, without asking whether there are more."""
    before = set(threading.enumerate())
    drawn = prefetch(range(5), lambda number: number, threads=threads)
    assert [next(drawn) for _ in range(5)] == list(range(5))
    assert set(threading.enumerate()) == before


def test_what_is_put_is_done_in_order_and_before_leaving() -> None:
    done: list[int] = []
    with BackgroundWorker(waiting=2) as behind:
        for number in range(50):
            behind.put(lambda number=number: done.append(number))
    assert done == list(range(50))


def test_the_caller_goes_on_while_work_is_done_but_not_further_than_the_bound() -> None:
    gate, reached, returned = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        reached.set()
        gate.wait(10)

    with BackgroundWorker(waiting=1) as behind:
        behind.put(slow)
        assert reached.wait(10)  # the caller is here while the work waits

        def one_too_many() -> None:
            behind.put(lambda: None)
            returned.set()

        other = threading.Thread(target=one_too_many)
        other.start()
        assert not returned.wait(0.2)
        gate.set()
        assert returned.wait(10)
        other.join()


def test_a_failure_is_told_and_nothing_is_done_after_it() -> None:
    done: list[str] = []
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), BackgroundWorker(waiting=3) as behind:
        behind.put(fail)
        failed.wait(10)
        behind.put(lambda: done.append("after"))
        behind.drain()
    assert done == []


def test_a_failure_of_the_caller_is_what_is_told() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(KeyboardInterrupt), BackgroundWorker(waiting=3) as behind:
        behind.put(fail)
        raise KeyboardInterrupt
