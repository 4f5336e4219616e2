"""Places where a cache can be read: the protocol of a store, one file per kind, and `open_store`, which chooses."""

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from foresight_cache.format.stores.local import LocalStore
from foresight_cache.format.stores.object_store import ObjectStore
from foresight_cache.format.stores.zip_store import ZipStore

__all__ = ["LocalStore", "ObjectStore", "Store", "ZipStore", "open_store"]


class Store(Protocol):
    """Read access to the objects of a cache, by key. Each method raises `FileNotFoundError` for a missing object."""

    place: str
    """The directory or URL, for messages and for opening with other tools."""

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


def open_store(place: str | os.PathLike[str]) -> Store:
    """Opens a local directory, a zip file or an object store: a path, or a URL with a scheme.

    Raises `NotACache` for a zip file that is not whole.
    """
    text = os.fspath(place)
    if "://" in text:
        return ObjectStore(text)
    path = Path(text)
    is_zip = path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path))
    return ZipStore(path) if is_zip else LocalStore(path)
