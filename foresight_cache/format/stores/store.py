"""What a store must offer so that a cache can be read in it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable


class Store(Protocol):
    """Read access to the objects of a cache, by key. Each method raises `FileNotFoundError` for a missing object."""

    place: str
    """The directory or URL, for messages and for opening with other tools."""
    reads_at_once: int
    """How many small objects are best read side by side: 1 where a read does not wait for a network."""

    def read(self, key: str) -> bytes:
        """Returns all bytes of an object."""
        ...

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        """Returns the size of an object in bytes and a function that reads [start, stop) of it."""
        ...

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        """Fills writable buffers of bytes, one after the other, from `start` of an object on; returns how many bytes.

        Fewer than there is room for where the object ends early. Large reads into memory that is used again are
        several times as fast as those into new memory.
        """
        ...

    def names(self, key: str) -> list[str]:
        """Returns the names of the objects directly under a key, sorted; none where there is none."""
        ...

    def sizes(self) -> dict[str, int]:
        """Returns the bytes of every object by its key, but for what living processes are writing."""
        ...


@runtime_checkable
class ShowsWork(Protocol):
    """A store that tells who is writing in it, beside what `Store` has."""

    def attempts(self) -> list[str]:
        """Returns the names of the attempts that may live, sorted; `runtime.attempts` takes them apart."""
        ...
