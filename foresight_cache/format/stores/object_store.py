"""A cache in an object store: S3 and what speaks as it does, Google Cloud Storage, Azure."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.format.layout import PARTIAL
from foresight_cache.format.stores.conditional_writes import ConditionalWrites, check_conditional_writes
from foresight_cache.format.stores.object_client import ObjectClient
from foresight_cache.format.stores.store_claims import ObjectClaim, StoreClaims
from foresight_cache.format.stores.store_settings import bucket_and_prefix

_RANGE = 8 << 20
"""Bytes of a request, of which many are on their way at once: a connection alone is slower than the store."""
_GROUP = 16
"""Requests of one read that are asked for together, so that memory holds no more than these beside the result."""


class ObjectStore:
    """What lies below a URL such as `s3://bucket/prefix`; as a place to write, a `WritableStore`.

    Settings come from the environment, see `docs/object_stores.md`. It can be sent to other processes, and used after
    a fork.
    """

    reads_at_once = 32

    def __init__(self, url: str, scratch: Path | None = None) -> None:
        """`scratch` is the local folder where objects are made before they are sent; the one for temporary files else.

        Raises `UsageError` for a URL or a setting that cannot be used, `MissingExtra` without obstore.
        """
        bucket_and_prefix(url)
        self.place = url.rstrip("/")
        self._scratch = scratch
        self._connect()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.place, self._scratch)

    def read(self, key: str) -> bytes:
        return self._client.read(key)[0]

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        size = self._client.head(key)["size"]

        def read(start: int, stop: int) -> Any:
            parts = list(self._parts(key, start, min(stop, size)))
            return parts[0] if len(parts) == 1 else b"".join(parts)

        return size, read

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        filled, rest = 0, list(buffers)
        for part in self._parts(key, start, start + sum(map(len, buffers))):
            while len(part):
                room = rest[0]
                taken = min(len(part), len(room))
                room[:taken] = part[:taken]
                part, rest[0], filled = part[taken:], room[taken:], filled + taken
                if not len(rest[0]):
                    rest.pop(0)
        return filled

    def names(self, key: str) -> list[str]:
        return self._client.folder(key)[0]

    def children(self, key: str) -> set[str]:
        return {name for names in self._client.folder(key) for name in names}

    def sizes(self) -> dict[str, int]:
        found = self._client.listed()
        living = self._claims.living([each for each in found if each["path"].startswith(f"{PARTIAL}/")])
        return {each["path"]: each["size"] for each in found if each["path"] not in living}

    def create(self, key: str, content: Path | bytes) -> bool:
        return self._writes.create(key, content)

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        return self._writes.swap(key, old, new)

    def tag(self, key: str) -> str:
        return self._writes.tag(key)

    def replace(self, key: str, tag: str, content: Path | bytes) -> bool:
        return self._writes.replace(key, tag, content)

    def remove(self, key: str, tag: str) -> bool:
        return self._writes.remove(key, tag)

    def attempts(self) -> list[str]:
        return self._claims.attempts()

    def claim(self, name: str) -> ObjectClaim | None:
        return self._claims.claim(name)

    def sweep(self) -> None:
        self._claims.sweep()

    def check_writable(self) -> None:
        check_conditional_writes(self._client, self._writes)

    def room(self) -> None:
        """Returns None: nothing bounds an object store."""

    @property
    def _client(self) -> ObjectClient:
        """The client of this process."""
        if self._process != os.getpid():
            self._connect()
        return self._connected

    def _connect(self) -> None:
        self._process = os.getpid()
        self._connected = ObjectClient(self.place)
        self._writes = ConditionalWrites(self._connected)
        self._claims = StoreClaims(self._connected, self._writes, self._scratch)

    def _parts(self, key: str, start: int, stop: int) -> Iterator[memoryview]:
        """Yields [start, stop) of an object in parts, or less where the object ends early."""
        starts = list(range(start, stop, _RANGE))
        for first in range(0, len(starts), _GROUP):
            group = starts[first : first + _GROUP]
            stops = [min(each + _RANGE, stop) for each in group]
            parts = [memoryview(part) for part in self._client.ranges(key, group, stops)]
            yield from parts
            if sum(map(len, parts)) < stops[-1] - group[0]:
                return
