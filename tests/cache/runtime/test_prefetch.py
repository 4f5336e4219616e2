from collections.abc import Iterator

import pytest

from foresight_cache.runtime.pipelining import prefetch


def numbers_then_failure() -> Iterator[int]:
    yield from range(4)
    raise OSError("the source ended early")


def test_what_came_before_a_failing_source_is_yielded() -> None:
    found = []
    with pytest.raises(OSError, match="ended early"):
        for number in prefetch(numbers_then_failure(), lambda number: number, threads=8):
            found.append(number)
    assert found == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_nothing_after_failing_work_is_yielded(threads: int) -> None:
    found = []
    with pytest.raises(ZeroDivisionError):
        for number in prefetch([2, 1, 0, 5, 6], lambda number: 4 // number, threads=threads):
            found.append(number)
    assert found == [2, 4]


def test_it_runs_no_further_ahead_than_told() -> None:
    taken = []

    def source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = prefetch(source(), lambda number: number, threads=3)
    next(results)
    assert len(taken) <= 5
    results.close()
