"""Exclusive claims on parts of a work that several processes share, given back when their process dies.

They hold on one machine and over NFS, and need no scheduler: whoever starts the same work takes part in it.
"""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

_SUFFIX = ".lock"


@dataclass(frozen=True, slots=True)
class Claim:
    """Holds `<folder>/<name>.lock` and owns the scratch folder `<folder>/<name>`."""

    scratch: Path
    _descriptor: int

    def release(self) -> None:
        """Removes the scratch folder and the lock; the last claim removes their folder too."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        _lock_path(self.scratch).unlink(missing_ok=True)
        os.close(self._descriptor)
        _remove_if_empty(self.scratch.parent)


def claim(folder: Path, name: str, *, wait: bool = False) -> Claim | None:
    """Claims a name in a folder whose parent exists; None where another process has it and `wait` is false.

    The scratch folder starts empty: what a killed process left there is removed.
    """
    scratch = folder / name
    while True:
        descriptor = _open(_lock_path(scratch))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_current(_lock_path(scratch), descriptor):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            return Claim(scratch, descriptor)
        os.close(descriptor)  # its holder removed the file while we waited for it


def sweep(folder: Path) -> None:
    """Removes what killed processes left in a folder of claims, and nothing that a living one holds."""
    names = {path.name.removesuffix(_SUFFIX) for path in folder.iterdir()} if folder.is_dir() else set()
    for name in sorted(names):
        if held := claim(folder, name):
            held.release()
    _remove_if_empty(folder)


def held(folder: Path) -> set[str]:
    """Returns the names of the files and folders that living processes own in a folder of claims, or may own."""
    names = set()
    for path in folder.glob(f"*{_SUFFIX}"):
        if _is_held(path):
            names |= {path.name, path.name.removesuffix(_SUFFIX)}
    return names


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        # Shared, and for no time: a process that claims the name just now finds it taken, and comes again.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _lock_path(scratch: Path) -> Path:
    return scratch.with_name(scratch.name + _SUFFIX)


def _open(path: Path) -> int:
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # the last claim of another process has just removed the folder


def _is_current(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # another process works there, or it is gone already
