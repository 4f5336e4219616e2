"""Locks of files, which save work where a filesystem has them: some have none, and some hold on one machine only."""

import fcntl
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import ForesightWarning
from foresight_cache.runtime.durable_files import make_passing_folder

_told: set[str] = set()
"""Reasons that were told already, in this process."""


@dataclass(frozen=True, slots=True)
class FileLock:
    """Lock of a file that is there as long as somebody holds it."""

    path: Path
    _descriptor: int

    def release(self) -> None:
        """Removes the file and ends the lock; it also ends with the process."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def lock(path: Path) -> FileLock | None:
    """Locks a file in a folder that is made where its parent exists; None where another process has it.

    Where the filesystem has no locks it is as if nobody held one, and a `ForesightWarning` says so, once.
    """
    while True:
        descriptor = _open(path)
        if not _locked(descriptor, path.parent):
            os.close(descriptor)
            return None
        if _is_current(path, descriptor):
            return FileLock(path, descriptor)
        os.close(descriptor)  # its holder removed the file while we opened it


def is_locked(path: Path) -> bool:
    """Tells whether another process holds, or may hold, the lock of a file; False where the filesystem has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return True  # it may be
    except OSError:
        return False
    try:
        # Shared, and for no time: a process that wants the lock just now finds it taken, and comes again.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        os.close(descriptor)


def _locked(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        _tell(str(error.strerror or error), folder.parent)
    return True


def _tell(reason: str, place: Path) -> None:
    if reason in _told:
        return
    _told.add(reason)
    warnings.warn(
        f"the filesystem of {place} has no file locks ({reason}); the work goes on without them: processes on several "
        "machines may now and then do a part of it twice, such as a shard, and the outcome is the same",
        ForesightWarning,
        stacklevel=2,
    )


def _open(path: Path) -> int:
    while True:
        make_passing_folder(path.parent)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the last claim of another process has just removed the folder


def _is_current(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
