"""What a store must offer so that a cache can be written in it, by any number of processes at once.

Nothing is ever overwritten: an object is created where there is none, and replaced only by who knows what it replaces.
So the order in which processes come, die and sleep decides nothing, and claims save work alone.
"""

from pathlib import Path
from typing import Protocol

from foresight_cache.format.stores.store import Store
from foresight_cache.runtime.attempts import LEASE_SECONDS
from foresight_cache.runtime.disk_space import Room

__all__ = ["LEASE_SECONDS", "Claim", "Room", "WritableStore"]


class Claim(Protocol):
    """A name that this attempt works at, so that others work at something else; it decides nothing."""

    @property
    def scratch(self) -> Path:
        """Folder of this attempt alone, empty at first, on the store's own filesystem where it has one."""
        ...

    def renew(self) -> bool:
        """Says that the attempt lives; False where the claim is another's by now. To be called every minute or so.

        Without it others take the attempt for dead after `LEASE_SECONDS` and may do the same work, which harms nothing.
        """
        ...

    def release(self) -> None:
        """Gives the name back and removes the scratch folder with all that is in it. Never raises."""
        ...


class WritableStore(Store, Protocol):
    """Write access to the objects of a cache. Threads may call all methods side by side.

    What is told to be done is durable: it outlasts a loss of power. All methods but `release` raise `OSError`, and
    `CacheError` where the store cannot be reached or refuses, such as for credentials that have expired.
    """

    def create(self, key: str, content: Path | bytes) -> bool:
        """Puts an object that is not there yet, whole and durable, seen by others all at once or not at all.

        True where the object that is there now has just these bytes: put by this call, by one that was thought to
        have failed, or by another process. False where another object is there: it stays as it is.

        A path is of a whole file in the scratch folder of a claim of this store; it may be gone where True is returned
        and is there where False is. Where an answer is lost the store looks what is there, and tries again where there
        is nothing.
        """
        ...

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """Replaces an object that has the bytes `old` by one that has the bytes `new`: compare and swap of a record.

        False where the object has other bytes by now or is gone; nothing is changed then. True where it has the bytes
        `new` afterwards, also where an answer was lost.
        """
        ...

    def tag(self, key: str) -> str:
        """Returns what tells the state of an object from any later one, such as its ETag.

        Raises `FileNotFoundError` where there is none.
        """
        ...

    def replace(self, key: str, tag: str, content: Path | bytes) -> bool:
        """Replaces an object that was found damaged and still is in the state `tag`, as `swap` does for a record.

        False where it is in another state or gone: look again at what is there. Never to be used for an object that
        is whole. For `content` the same holds as in `create`.
        """
        ...

    def remove(self, key: str, tag: str) -> bool:
        """Removes an object that was found damaged and still is in the state `tag`; False where it is in another.

        Never to be used for an object that is whole.
        """
        ...

    def children(self, key: str) -> set[str]:
        """Returns the names of objects and folders directly under a key; "" is the root of the cache.

        Empty where there is nothing.
        """
        ...

    def claim(self, name: str) -> Claim | None:
        """Claims a name, of letters, digits, `_`, `-` and `.`; None where another living attempt has it.

        Claims lie under `layout.PARTIAL` where they lie in the store. What dead attempts left under the name goes.
        """
        ...

    def sweep(self) -> None:
        """Removes what dead attempts left, and nothing of a living one."""
        ...

    def check_writable(self) -> None:
        """Raises `CacheError` where a cache cannot be written here safely, as without conditional writes.

        To be called once, before anything else is written; what it tries with is gone afterwards.
        """
        ...

    def room(self) -> Room | None:
        """Returns what room is left; None where nothing bounds it."""
        ...
