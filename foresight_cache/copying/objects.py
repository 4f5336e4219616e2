"""One object is copied: read in ranges, hashed while it is written, and published only where it was committed so."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from foresight_cache.copying.ranges import RANGE, RangeReader
from foresight_cache.errors import CorruptCache
from foresight_cache.format.stores import Store
from foresight_cache.runtime.progress import Advance

Entry = Mapping[str, Any]
"""What a commit says of an object: `bytes`, `sha256` and more."""


class Stopped(Exception):
    """The work was broken off between two ranges."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectReader:
    """Reads whole objects of one store and holds them to what was committed."""

    store: Store
    ranges: RangeReader
    stop: Event
    """Set where the work is to be broken off."""
    advance: Advance

    def fetch(self, key: str, entry: Entry, path: Path) -> None:
        """Writes an object into a new file. Raises `CorruptCache`, and then the file is gone."""
        try:
            with path.open("xb") as file:
                self._read(key, entry, file.write)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _read(self, key: str, entry: Entry, take: Callable[[bytes], int]) -> None:
        place, size, digest = f"{self.store.place}/{key}", 0, hashlib.sha256()
        try:
            for block in self.ranges.blocks(self.store, key):
                if self.stop.is_set():
                    raise Stopped
                digest.update(block)
                take(block)
                size += len(block)
                self.advance(0, len(block))
            if size != entry["bytes"]:
                raise CorruptCache(f"{place} has {size} bytes, {entry['bytes']} were committed")
            if digest.hexdigest() != entry["sha256"]:
                raise CorruptCache(f"{place} does not have the SHA-256 that was committed")
        except FileNotFoundError:
            raise CorruptCache(f"{place} is missing although its shard is committed") from None
        except BaseException:
            self.advance(0, -size)
            raise


def has_bytes(store: Store, key: str, entry: Entry) -> bool:
    """Tells whether an object is the committed one; False where there is none. Reads one range at a time."""
    try:
        size, read = store.ranges(key)
        if size != entry["bytes"]:
            return False
        digest = hashlib.sha256()
        for start in range(0, size, RANGE):
            digest.update(read(start, min(start + RANGE, size)))
    except FileNotFoundError:
        return False
    return bool(digest.hexdigest() == entry["sha256"])
