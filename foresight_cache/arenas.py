"""Memory for the files of a few samples, used again and again.

Memory that the system hands out anew costs more than reading a file into it and hashing it: on machines without
large pages it is the slowest step of a copy.
"""

import os
from collections import deque
from pathlib import Path

_SIZE = 8 << 20
"""Bytes of an arena; only what was ever written to takes memory."""


class Arena:
    """A piece of memory that files are read into, one after the other; what does not fit gets memory of its own."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray(_SIZE))
        self._used = 0

    def read(self, path: Path) -> bytes | memoryview:
        """A file's content, valid until the arena is given back. Raises `OSError`."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            expected = os.fstat(descriptor).st_size
            free = self._memory[self._used :]
            size = os.readv(descriptor, [free]) if 0 < expected < len(free) else 0
            if size != expected or not expected:  # too large, no plain file, or changing at this moment
                return path.read_bytes()
        finally:
            os.close(descriptor)
        self._used += size
        return free[:size].toreadonly()

    def reset(self) -> None:
        """Forget all content; nobody may look at it any more."""
        self._used = 0


class ArenaPool:
    """Arenas that are not in use. Any thread may take one or give one back."""

    def __init__(self) -> None:
        self._free: deque[Arena] = deque()

    def take(self) -> Arena:
        try:
            return self._free.pop()
        except IndexError:
            return Arena()

    def give_back(self, arena: Arena) -> None:
        arena.reset()
        self._free.append(arena)
