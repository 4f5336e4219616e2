"""Claims on parts of a work that several processes share, given back when their process dies.

They need no scheduler and no locks: whoever starts the same work takes part in it. A claim is a folder of the attempt's
own, by whose name others see whether it lives. Two that make theirs at once both step back and try again. A file lock,
where the filesystem has any, keeps others off even before they see the folder, as on a network whose listings are late.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.runtime.attempts import Life, attempts, names_in, new_attempt, work_of
from foresight_cache.runtime.durable_files import make_passing_folder
from foresight_cache.runtime.file_locks import FileLock, is_locked, lock

_SUFFIX = ".lock"
_TRIES = 8
"""Times that two who came at once step back, before they look for other work."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.5
"""Seconds between two looks at whether a claim is free, which grow."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Holds a name, and owns a scratch folder."""

    scratch: Path
    _lock: FileLock

    @property
    def name(self) -> str:
        """What is claimed."""
        return self._lock.path.name.removesuffix(_SUFFIX)

    def renew(self) -> bool:
        """Gives a sign of life, for other machines; False where the scratch folder was taken for a dead one's."""
        try:
            os.utime(self.scratch)
        except FileNotFoundError:
            return False
        return True

    def release(self) -> None:
        """Removes the scratch folder and the lock; the last claim removes their folder too."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lock.release()
        _remove_if_empty(self.scratch.parent)


def claim(folder: Path, name: str, *, wait: bool = False) -> Claim | None:
    """Claims a name in a folder whose parent exists; None where another process has it and `wait` is false.

    The scratch folder starts empty, and what killed processes left under the name is removed.
    """
    pause = _FIRST_PAUSE
    while not (held := _claim(folder, name)) and wait:
        time.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - a pause, no secret
        pause = min(2 * pause, _LONGEST_PAUSE)
    return held


@contextmanager
def exclusive(folder: Path, name: str) -> Iterator[Claim]:
    """Waits until no other living process is in such a block for the name."""
    held = claim(folder, name, wait=True)
    assert held  # noqa: S101 - waiting ends with a claim
    try:
        yield held
    finally:
        held.release()


@contextmanager
def scratch_folder(folder: Path, name: str) -> Iterator[Path]:
    """Makes a folder of this attempt alone in a folder of claims, whoever else has the name; it is gone afterwards."""
    scratch = _make(folder / new_attempt(name))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        _remove_if_empty(folder)


def sweep(folder: Path) -> None:
    """Removes what killed processes left in a folder of claims, and nothing of a living one."""
    for path, life in attempts(folder).items():
        if life is Life.DEAD:
            _remove(path)
    for name in _others(folder) - _claimed(folder):
        if held := lock(folder / f"{name}{_SUFFIX}"):
            shutil.rmtree(folder / name, ignore_errors=True)  # of a version whose scratch folders had no owner's name
            held.release()
    _remove_if_empty(folder)


def held(folder: Path) -> set[str]:
    """Returns the names of the files and folders that living processes own in a folder of claims, or may own."""
    names = {path.name for path, life in attempts(folder).items() if life is not Life.DEAD}
    claimed = _claimed(folder)
    for name in _others(folder):
        if name in claimed or is_locked(folder / f"{name}{_SUFFIX}"):
            names |= {name, f"{name}{_SUFFIX}"}
    return names


def _claim(folder: Path, name: str) -> Claim | None:
    locked = lock(folder / f"{name}{_SUFFIX}")
    if locked is None:
        return None
    try:
        scratch = _only_attempt(folder, name)
    except BaseException:
        locked.release()
        raise
    if scratch is None:
        locked.release()
        return None
    return Claim(scratch, locked)


def _only_attempt(folder: Path, name: str) -> Path | None:
    """Makes this attempt's scratch folder; None where another attempt lives that has one."""
    for _ in range(_TRIES):
        if _living(folder, name):
            return None
        scratch = _make(folder / new_attempt(name))
        if _living(folder, name) == {scratch}:
            return scratch
        shutil.rmtree(scratch, ignore_errors=True)
        time.sleep(random.uniform(0, 4 * _FIRST_PAUSE))  # noqa: S311 - a pause, no secret
    return None


def _living(folder: Path, name: str) -> set[Path]:
    """Returns the attempts that live, and removes what dead ones left."""
    found = attempts(folder, name)
    for path, life in found.items():
        if life is Life.DEAD:
            _remove(path)
    return {path for path, life in found.items() if life is Life.LIVING}


def _make(scratch: Path) -> Path:
    while True:
        make_passing_folder(scratch.parent)
        try:
            scratch.mkdir()
        except FileNotFoundError:
            continue  # the last claim of another process has just removed the folder
        return scratch


def _others(folder: Path) -> set[str]:
    """Returns the names, without their suffix, of locks and of all else that is no attempt's."""
    return {name.removesuffix(_SUFFIX) for name in names_in(folder) if work_of(name) is None}


def _claimed(folder: Path) -> set[str | None]:
    return {work_of(path.name) for path, life in attempts(folder).items() if life is not Life.DEAD}


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink() if not path.is_dir() else shutil.rmtree(path, ignore_errors=True)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # another process works there, or it is gone already
        folder.rmdir()
