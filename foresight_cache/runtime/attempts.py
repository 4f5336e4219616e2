"""Attempts at a work, which show by files and folders named `work.machine-process-start-random`.

Whether one lives needs no lock: on the same machine the system knows its process, and of another machine's the
filesystem tells when it was last heard of, by its own clock.
"""

import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from functools import cache
from pathlib import Path

LEASE_SECONDS = 300.0
"""Seconds after its last sign of life for which an attempt of another machine counts as living."""
FORGOTTEN_SECONDS = 86_400.0
"""Seconds after which it counts as dead, so that what it left may be removed: nodes are not stopped for a day."""
_NAME = re.compile(r"(?P<name>.+)\.(?P<machine>[0-9a-f]{12})-(?P<process>\d+)-(?P<start>\d+)-[0-9a-f]{8}")
_ENDED = ("Z", "X")
"""States of processes that are dead and of which their parents have not been told yet."""


class Life(Enum):
    """What is known of the process behind an attempt."""

    LIVING = "living"
    SILENT = "silent"
    """Of another machine, and not heard of for a while: others may do its work, and nothing of it is removed."""
    DEAD = "dead"


def new_attempt(name: str) -> str:
    """Returns a name that is this attempt's alone, by which others see whether its process lives."""
    return f"{name}.{machine()}-{os.getpid()}-{_start(os.getpid())}-{secrets.token_hex(4)}"


def attempts(folder: Path, name: str | None = None) -> dict[Path, Life]:
    """Returns the attempts in a folder, at one work or at any; none where there is no folder."""
    found = {path: match for path, match in _matches(folder) if name in (None, match["name"])}
    return {path: _life(path, match) for path, match in found.items()}


def names_in(folder: Path) -> list[str]:
    """Returns the names in a folder that others may remove at any time, sorted; none where it is gone."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - all at once
    except FileNotFoundError:
        return []


def work_of(attempt: str) -> str | None:
    """Returns the name of the work that an attempt is at; None where this is not the name of an attempt.

    >>> work_of("000001.0123456789ab-77-12345-89abcdef"), work_of("000001.lock")
    ('000001', None)
    """
    match = _NAME.fullmatch(attempt)
    return match["name"] if match else None


def worker_of(attempt: str) -> str | None:
    """Returns who is at an attempt, as text; None where this is not the name of an attempt.

    >>> worker_of("000001.0123456789ab-77-12345-89abcdef")
    'process 77 of machine 0123456789ab'
    """
    match = _NAME.fullmatch(attempt)
    if match is None:
        return None
    where = "this machine" if match["machine"] == machine() else f"machine {match['machine']}"
    return f"process {match['process']} of {where}"


def has_ended(attempt: str) -> bool:
    """Tells whether the process of an attempt is known to have ended; only this machine's own are.

    >>> has_ended(new_attempt("000001")), has_ended("000001.lock")
    (False, False)
    """
    match = _NAME.fullmatch(attempt)
    if match is None or match["machine"] != machine():
        return False
    return not _runs(int(match["process"]), int(match["start"]))


@cache
def machine() -> str:
    """Returns what processes have in common that see each other by their numbers: host, its start, and container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _matches(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for name in names_in(folder):
        if match := _NAME.fullmatch(name):
            yield folder / name, match


def _life(path: Path, match: re.Match[str]) -> Life:
    if match["machine"] == machine():
        return Life.LIVING if _runs(int(match["process"]), int(match["start"])) else Life.DEAD
    try:
        silence = _now(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return Life.DEAD
    return Life.DEAD if silence > FORGOTTEN_SECONDS else Life.SILENT if silence > LEASE_SECONDS else Life.LIVING


def _runs(process: int, start: int) -> bool:
    """Tells whether a process lives and is the one that began then, and not a later one of the same number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    except OverflowError:
        return False
    return _start(process) in (start, 0) and _state(process) not in _ENDED


def _start(process: int) -> int:
    """Returns when a process began, in ticks of the system's clock; 0 where the system does not tell."""
    fields = _status(process)
    return int(fields[19]) if fields else 0


def _state(process: int) -> str:
    fields = _status(process)
    return fields[0] if fields else ""


def _status(process: int) -> list[str]:
    """Returns the fields behind the name of the program, see proc(5); none where they are hidden."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _now(folder: Path) -> float:
    """Returns the time by the filesystem's clock, that of a file made now; by this machine's where none can be made."""
    path = folder / new_attempt("clock")
    try:
        path.touch()
        now = path.stat().st_mtime
        path.unlink(missing_ok=True)
    except OSError:
        return time.time()
    return now
