"""Reports of long work, without knowing who shows them: what is done, and which stage took the time."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")

Advance = Callable[[int, int], None]
"""Called with the numbers of samples and of bytes that were finished since the last call."""


Expect = Callable[[int], None]
"""Called with the number of samples that are to be done, when it is known."""


def unheard(samples: int) -> None:
    """Ignores how many samples there will be: an `Expect` that tells nobody."""


def silent(samples: int, size: int) -> None:
    """Ignores a report: an `Advance` that shows nothing."""


def format_bytes(size: float) -> str:
    """Returns a number of bytes as text, in units of 1000 as disks are sold.

    >>> format_bytes(999), format_bytes(3_932_160), format_bytes(2.5e12), format_bytes(999_999)
    ('999 B', '3.9 MB', '2.5 TB', '1.0 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


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
        """Yields the items and counts the time until each is there."""
        remaining = iter(items)
        while True:
            with self.measured(stage):
                try:
                    item = next(remaining)
                except StopIteration:
                    return
            yield item

    def shares(self) -> dict[str, float]:
        """Returns each stage's share of the time, 0 to 1, in the order in which they were first met."""
        seconds = dict(self.seconds)  # the loop goes on counting meanwhile
        whole = sum(seconds.values())
        return {stage: own / whole if whole else 0.0 for stage, own in seconds.items()}

    def text(self) -> str:
        """Lists each stage with its share."""
        return " · ".join(f"{stage} {share:.0%}".replace("%", " %") for stage, share in self.shares().items())
