"""Writes to an object store that replace nothing unseen, whatever becomes of their answers.

A store tells that a key is taken also where this very writer has put the object and the answer was lost, and some tell
so of a write that they have dropped (arrow-rs-object-store issue 852). So no answer but success is believed: what is
there is read and compared. That suffices because what is written follows from its content alone.
"""

import hashlib
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foresight_cache.errors import CacheError
from foresight_cache.format.layout import PARTIAL
from foresight_cache.format.stores.object_client import Meta, ObjectClient
from foresight_cache.format.stores.store_failures import failure_of
from foresight_cache.runtime.attempts import new_attempt

DIGEST = "sha256"
"""User metadata of each object: the SHA-256 of its bytes, hexadecimal."""
_LARGEST = 5 << 30
"""Bytes that a store takes in one request."""
_BLOCK = 1 << 24
_STALE_TAG, _STALE_VERSION = '"00000000000000000000000000000000"', "1"
"""States that no object is in."""


class ConditionalWrites:
    """Creates objects and swaps them. Threads may do so side by side."""

    def __init__(self, client: ObjectClient) -> None:
        self._client = client

    def create(self, key: str, content: Path | bytes) -> bool:
        """Puts an object where there is none; True where what is there has just these bytes, see `WritableStore`."""
        with _opened(content, self._client.place, key) as data:
            return self._settled(key, data, lambda: "create", lambda: self._same(key, data))

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """Replaces the bytes `old` by `new`; False where others are there, see `WritableStore`."""
        state: list[Meta] = []

        def there() -> bool | None:
            try:
                found, meta = self._client.read(key)
            except FileNotFoundError:
                return False
            state[:] = [meta]
            return True if found == new else None if found == old else False

        outcome = there()
        return outcome if outcome is not None else self._settled(key, new, lambda: self._mode(state[0]), there)

    def replace(self, key: str, tag: str, content: Path | bytes) -> bool:
        """Replaces an object in the state `tag`; False where it is in another, see `WritableStore`."""

        def there() -> bool | None:
            try:
                if self.tag(key) == tag:
                    return None
            except FileNotFoundError:
                return False
            return bool(self._same(key, data))

        with _opened(content, self._client.place, key) as data:
            return self._settled(key, data, lambda: {self._name: tag}, there)

    def remove(self, key: str, tag: str) -> bool:
        """Removes an object in the state `tag`; False where it is in another, see `WritableStore`.

        The client knows no condition for this, so that the state is asked for just before.
        """
        try:
            if self.tag(key) != tag:
                return False
        except FileNotFoundError:
            return False
        self._client.delete([key])
        return True

    def tag(self, key: str) -> str:
        """Returns what tells the state of an object. Raises `FileNotFoundError`."""
        return str(self._mode(self._client.head(key))[self._name])

    def put(self, key: str, data: Any, mode: Any) -> None:
        """Sends an object once under a condition. Raises obstore's errors."""
        self._client.put(key, data, mode, {DIGEST: _digest(data)})

    @property
    def _name(self) -> str:
        return "version" if self._client.by_version else "e_tag"

    def _mode(self, meta: Meta) -> dict[str, str]:
        state = meta["version"] if self._client.by_version else meta["e_tag"]
        if state is None:
            raise CacheError(
                f"{self._client.place} tells no {self._name} of its objects, by which they could be replaced safely; "
                "write to a store that does, or to a local directory"
            )
        return {self._name: state}

    def _settled(self, key: str, data: Any, mode: Callable[[], Any], there: Callable[[], bool | None]) -> bool:
        """Puts an object until it is there, or `there` tells that it is (True) or that it never will be (False)."""
        doing, patience = f"writing {key}", self._client.patience()
        while True:
            try:
                self.put(key, data, mode())
            except self._client.errors as error:
                failure = failure_of(error)
                if failure.kind not in ("later", "wrong"):
                    raise self._client.error(doing, failure) from None
                if (outcome := there()) is not None:
                    return outcome
                if failure.kind == "wrong":
                    raise self._client.error(doing, failure) from None
                self._client.wait(doing, failure, patience)
            else:
                return True

    def _same(self, key: str, data: Any) -> bool | None:
        """Tells whether an object has these bytes; None where there is none."""
        try:
            if self._client.head(key)["size"] != len(data):
                return False
            stated = self._client.attributes(key).get(DIGEST)
            if stated is not None and stated != _digest(data):
                return False
            return all(
                bytes(part) == data[start : start + len(part)]
                for start in range(0, len(data), _BLOCK)
                for part in self._client.ranges(key, [start], [min(start + _BLOCK, len(data))])
            )
        except FileNotFoundError:
            return None


def check_conditional_writes(client: ObjectClient, writes: ConditionalWrites) -> None:
    """Raises `CacheError` for a store that overwrites against its orders, or cannot be written at all."""
    key = f"{PARTIAL}/{new_attempt('probe')}"
    if not writes.create(key, b"first"):
        raise CacheError(f"{client.place} has other bytes at {key} than were just written; write to another store")
    try:
        stale = {"version": _STALE_VERSION} if client.by_version else {"e_tag": _STALE_TAG}
        for mode, condition in (("create", "If-None-Match"), (stale, "If-Match")):
            try:
                writes.put(key, b"second", mode)
            except client.errors as error:
                if client.taken(error) or isinstance(error, FileNotFoundError):
                    continue
                failure = failure_of(error)
                if failure.kind in ("later", "expired"):
                    continue  # what is there tells it as well
                raise _without_conditions(client, condition, failure.reason) from None
            raise _without_conditions(client, condition, "it overwrote an object that was there")
        if client.read(key)[0] != b"first":
            raise _without_conditions(client, "If-None-Match", "it overwrote an object that was there")
    finally:
        client.delete([key])


def _without_conditions(client: ObjectClient, condition: str, reason: str) -> CacheError:
    return CacheError(
        f"{client.place} has no conditional writes ({condition}: {reason}), without which several writers could "
        "destroy each other's work; write to another store, or to a local directory and copy it there"
    )


@contextmanager
def _opened(content: Path | bytes, place: str, key: str) -> Iterator[Any]:
    """Yields content as a buffer; that of a file stays on disk. Raises `CacheError` where it is too large."""
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    if size > _LARGEST:
        raise CacheError(
            f"{key} has {size / 1e9:.1f} GB and {place} takes {_LARGEST / 1e9:.1f} at most; prepare the dataset again "
            "with fewer --samples-per-shard, or write to a local directory"
        )
    if not isinstance(content, Path) or not size:
        yield content if isinstance(content, bytes) else b""
        return
    with (
        content.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        yield view


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
