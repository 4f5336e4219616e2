"""Where a pipeline's time goes: which stage the others wait for."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")


class StageTimes:
    """Seconds of the loop in the middle of a pipeline, by what it spent them on.

    >>> times = StageTimes()
    >>> times.text()
    ''
    >>> times.seconds |= {"input": 1.0, "model": 8.0, "writing": 1.0}
    >>> times.text()
    'input 10 % · model 80 % · writing 10 %'
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measured(self, stage: str) -> Iterator[None]:
        """Counts the time of the block as this stage's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def waiting(self, stage: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """The same items; counts the time until each is there."""
        remaining = iter(items)
        while True:
            with self.measured(stage):
                try:
                    item = next(remaining)
                except StopIteration:
                    return
            yield item

    def text(self) -> str:
        """Each stage with its share of the time, in the order in which they were first met."""
        whole = sum(self.seconds.values())
        return " · ".join(
            f"{stage} {seconds / whole:.0%}".replace("%", " %") for stage, seconds in self.seconds.items()
        )
