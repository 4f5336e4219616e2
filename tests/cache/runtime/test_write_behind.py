import threading

import pytest

from foresight_cache.runtime.write_behind import WriteBehind


def test_what_is_put_is_done_in_order_and_before_leaving() -> None:
    done: list[int] = []
    with WriteBehind(waiting=2) as behind:
        for number in range(50):
            behind.put(lambda number=number: done.append(number))
    assert done == list(range(50))


def test_the_caller_goes_on_while_work_is_done_but_not_further_than_the_bound() -> None:
    gate, reached, returned = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        reached.set()
        gate.wait(10)

    with WriteBehind(waiting=1) as behind:
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

    with pytest.raises(OSError, match="the disk is full"), WriteBehind(waiting=3) as behind:
        behind.put(fail)
        failed.wait(10)
        behind.put(lambda: done.append("after"))
        behind.drain()
    assert done == []


def test_a_failure_of_the_caller_is_what_is_told() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(KeyboardInterrupt), WriteBehind(waiting=3) as behind:
        behind.put(fail)
        raise KeyboardInterrupt
