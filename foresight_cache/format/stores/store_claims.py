"""Claims in an object store: small objects that say who is at what, so that others take up something else.

They decide nothing: two who do the same work write the same objects. A claim is dead once it was not renewed for
`LEASE_SECONDS` by the store's own clock, or at once where its process is known to have ended.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from foresight_cache.errors import CacheError
from foresight_cache.format.layout import PARTIAL
from foresight_cache.format.stores.conditional_writes import ConditionalWrites
from foresight_cache.format.stores.object_client import Meta, ObjectClient
from foresight_cache.runtime import claims
from foresight_cache.runtime.attempts import LEASE_SECONDS, has_ended, new_attempt
from foresight_cache.runtime.durable_files import make_passing_folder

_SUFFIX = ".claim"
_TRUSTED_SECONDS = 600.0
"""Seconds for which the store's clock is reckoned on from this machine's, before it is looked at again."""
_over: set[str] = set()
"""Attempts of this process that have ended, also those whose claims a store did not let go."""
_VAR_TMP = Path("/var/tmp")  # noqa: S108 - folders in it are the user's own


@dataclass(slots=True)
class ObjectClaim:
    """A claimed name, and a local scratch folder of this attempt alone."""

    scratch: Path
    _key: str
    _writes: ConditionalWrites
    _remove: Callable[[str, bytes], None]
    _attempt: str
    _renewals: int = field(default=0)

    @property
    def record(self) -> bytes:
        """What stands in the store as long as the claim is held."""
        return json.dumps({"attempt": self._attempt, "renewals": self._renewals}, sort_keys=True).encode()

    def renew(self) -> bool:
        """Renews the claim by compare and swap; False where another has taken it over."""
        before = self.record
        self._renewals += 1
        if self._writes.swap(self._key, before, self.record):
            return True
        self._renewals -= 1
        return False

    def release(self) -> None:
        """Removes the claim, unless it is another's by now, and the scratch folder."""
        _over.add(self._attempt)
        shutil.rmtree(self.scratch, ignore_errors=True)
        with suppress(OSError, CacheError):
            self._remove(self._key, self.record)


class StoreClaims:
    """All claims below a URL."""

    def __init__(self, client: ObjectClient, writes: ConditionalWrites, scratch: Path | None) -> None:
        self._client, self._writes = client, writes
        self._base = scratch
        self._clock: tuple[float, float] | None = None

    def claim(self, name: str) -> ObjectClaim | None:
        """Claims a name; None where another living attempt has it."""
        key = f"{PARTIAL}/{name}{_SUFFIX}"
        attempt = new_attempt(name)
        mine = ObjectClaim(self._folder() / attempt, key, self._writes, self._remove_own, attempt)
        try:
            theirs, meta = self._client.read(key)
        except FileNotFoundError:
            taken = self._writes.create(key, mine.record)
        else:
            taken = self._is_dead(_attempt_of(theirs), meta) and self._writes.swap(key, theirs, mine.record)
        if not taken:
            return None
        try:
            _make(mine.scratch)
        except OSError:
            mine.release()
            raise
        return mine

    def sweep(self) -> None:
        """Removes claims and probes of dead attempts, and what those of this machine left in the scratch folder."""
        claims.sweep(self._folder())
        dead = []
        for meta in self._client.listed(PARTIAL):
            with suppress(FileNotFoundError):
                if self._is_dead(self._attempt(meta["path"]), meta):
                    dead.append(meta["path"])
        self._client.delete(dead)

    def living(self, objects: Iterable[Meta]) -> set[str]:
        """Returns the keys of what may be of living attempts, by this machine's clock: for those who only look."""
        now = datetime.now(UTC)
        return {each["path"] for each in objects if (now - each["last_modified"]).total_seconds() < LEASE_SECONDS}

    def attempts(self) -> list[str]:
        """Returns the attempts whose claims may be held, by this machine's clock, sorted."""
        listed = [each for each in self._client.listed(PARTIAL) if each["path"].endswith(_SUFFIX)]
        found = []
        for key in self.living(listed):
            with suppress(FileNotFoundError):  # given back just now
                found.append(self._attempt(key))
        return sorted(attempt for attempt in found if attempt and not has_ended(attempt))

    def _attempt(self, key: str) -> str:
        """Returns the attempt that an object belongs to: a claim tells it, and others are called by it."""
        return _attempt_of(self._client.read(key)[0]) if key.endswith(_SUFFIX) else key.rpartition("/")[2]

    def _is_dead(self, attempt: str, meta: Meta) -> bool:
        return attempt in _over or has_ended(attempt) or self._now() - meta["last_modified"].timestamp() > LEASE_SECONDS

    def _now(self) -> float:
        """Returns the time by the store's clock, in seconds: that of an object which was written just now."""
        if self._clock is None or time.monotonic() - self._clock[1] > _TRUSTED_SECONDS:
            key = f"{PARTIAL}/{new_attempt('clock')}"
            self._writes.create(key, b"")
            try:
                self._clock = self._client.head(key)["last_modified"].timestamp(), time.monotonic()
            finally:
                self._client.delete([key])
        then, at = self._clock
        return then + time.monotonic() - at

    def _remove_own(self, key: str, record: bytes) -> None:
        with suppress(FileNotFoundError):
            if self._client.read(key)[0] == record:
                self._client.delete([key])

    def _folder(self) -> Path:
        """Returns the local folder of the scratch folders of this user."""
        folder = (self._base or _roomiest()) / f"foresight-scratch-{os.getuid()}"
        if self._base is None:
            with suppress(FileNotFoundError):  # not made yet, or another process has just removed it
                if folder.stat().st_uid != os.getuid():
                    raise CacheError(f"{folder} belongs to another user; remove it, or name another with --scratch")
        return folder


def _attempt_of(record: bytes) -> str:
    try:
        return str(json.loads(record)["attempt"])
    except (ValueError, KeyError, TypeError):
        return ""


def _make(scratch: Path) -> None:
    while True:
        scratch.parent.parent.mkdir(parents=True, exist_ok=True)
        make_passing_folder(scratch.parent, 0o700)
        try:
            return scratch.mkdir()
        except FileNotFoundError:
            continue  # the last attempt of another process has just removed the folder


def _roomiest() -> Path:
    """Returns the folder for temporary files, or the one for large ones where that has more room."""
    usual = Path(tempfile.gettempdir())
    folders = [usual, *([_VAR_TMP] if os.access(_VAR_TMP, os.W_OK) and "TMPDIR" not in os.environ else [])]
    return max(folders, key=lambda folder: shutil.disk_usage(folder).free)
