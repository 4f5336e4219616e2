"""On which kind of filesystem a path lies."""

import os
from pathlib import Path

from foresight_cache.runtime.disk_space import nearest_folder

_MOUNTS = Path("/proc/self/mountinfo")
_DEVICE, _SEPARATOR = 2, "-"
"""Field with the device's number, and the field before that with the filesystem's name (proc(5))."""


def filesystem_of(path: Path) -> str:
    """Returns the name of the filesystem of a path, or of the nearest folder above it; empty where nothing says it.

    >>> filesystem_of(Path("/proc/self"))
    'proc'
    """
    device = nearest_folder(path).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = _MOUNTS.read_text().splitlines() if _MOUNTS.exists() else []
    for fields in map(str.split, lines):
        if fields[_DEVICE] == number:
            return fields[fields.index(_SEPARATOR) + 1]
    return ""
