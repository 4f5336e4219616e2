"""How long work tells what it has done, without knowing who shows it."""

from collections.abc import Callable

Advance = Callable[[int, int], None]
"""Called with the numbers of samples and of bytes that were finished since the last call."""


def silent(samples: int, size: int) -> None:
    """An `Advance` that shows nothing."""
