"""Files that lie within another one, such as the members of a tar, which are read where they are."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 20
"""Bytes that are read at a time where not all are needed at once."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes of a file that are a file of their own. Its methods are those of a `Path` of the same names."""

    path: Path
    """The file around it."""
    name: str
    start: int
    """Number of bytes before it."""
    size: int
    """Number of its bytes."""

    def exists(self) -> bool:
        """Returns whether the file around it is there."""
        return self.path.exists()

    def is_dir(self) -> bool:
        """Returns False: it is a file."""
        return False

    def read_bytes(self) -> bytes:
        """Returns its bytes. Raises `OSError`, also where the file ends before them."""
        return b"".join(self.blocks(self.size))

    def blocks(self, most: int = _BLOCK, skip: int = 0) -> Iterator[bytes]:
        """Yields its bytes after the first `skip`, at most so many at a time. Raises `OSError` as `read_bytes` does."""
        with self.path.open("rb", buffering=0) as file:
            while skip < self.size:
                block = os.pread(file.fileno(), min(most, self.size - skip), self.start + skip)
                if not block:
                    raise OSError(0, "the tar ends before it", str(self.path))
                skip += len(block)
                yield block


MediaFile = Path | FilePart
"""A file of its own, or part of one."""


def size_of(file: MediaFile) -> int:
    """Returns the number of bytes of a file. Raises `OSError`."""
    return file.size if isinstance(file, FilePart) else file.stat().st_size


def tail_of(file: MediaFile, most: int, size: int | None = None) -> bytes:
    """Returns the last bytes of a file, at most so many; its size is asked for unless given. Raises `OSError`."""
    size = size_of(file) if size is None else size
    whole = file if isinstance(file, FilePart) else FilePart(file, file.name, 0, size)
    return b"".join(whole.blocks(most, max(0, size - most)))
