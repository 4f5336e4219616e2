"""Holds memory for the files of a few samples, used again and again.

Memory that the system hands out anew costs more than reading a file into it and hashing it: on machines without
large pages it is the slowest step of a copy.
"""

import os
from threading import Lock

from foresight_cache.datasets.file_parts import FilePart, MediaFile

ARENA_SIZE = 16 << 20
"""Bytes of an arena; only what was ever written to occupies memory."""


class Arena:
    """Block of memory that files are read into, one after the other; what does not fit gets memory of its own."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray(ARENA_SIZE))
        self._used = 0

    def read(self, file: MediaFile) -> bytes | memoryview:
        """Returns a file's content, valid until the arena is given back. Raises `OSError`."""
        part = file if isinstance(file, FilePart) else None
        descriptor = os.open(part.path if part else file, os.O_RDONLY)  # type: ignore[arg-type]
        try:
            expected = part.size if part else os.fstat(descriptor).st_size
            free = self._memory[self._used :]
            room = free[:expected] if part else free
            start = part.start if part else 0
            size = os.preadv(descriptor, [room], start) if 0 < expected < len(free) else 0
            if size != expected or not expected:  # too large, no plain file, or changing at this moment
                return file.read_bytes()
        finally:
            os.close(descriptor)
        self._used += size
        return free[:size].toreadonly()

    def reset(self) -> None:
        """Forgets all content, which nobody may read any more."""
        self._used = 0


class ArenaPool:
    """Pool of free arenas, which are used again when they are given back, in any thread."""

    def __init__(self) -> None:
        self._free: list[Arena] = []
        self._lock = Lock()

    def acquire(self) -> Arena:
        """Returns an empty arena."""
        with self._lock:
            return self._free.pop() if self._free else Arena()

    def give_back(self, arena: Arena) -> None:
        """Takes back an arena, whose content nobody may read any more."""
        arena.reset()
        with self._lock:
            self._free.append(arena)
