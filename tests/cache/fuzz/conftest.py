"""Counts the inputs of each test; `tests/conftest.py` prints the sum of all."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import trial


@pytest.fixture(autouse=True)
def counted(record_property: Callable[[str, object], None]) -> Iterator[None]:
    trial.TRIED.clear()
    yield
    record_property("fuzzed inputs", sum(trial.TRIED))
