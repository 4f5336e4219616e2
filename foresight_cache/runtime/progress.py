"""How long work tells what it has done, without knowing who shows it."""

from collections.abc import Callable

Advance = Callable[[int, int], None]
"""Called with the numbers of samples and of bytes that were finished since the last call."""


def silent(samples: int, size: int) -> None:
    """An `Advance` that shows nothing."""


def format_bytes(size: float) -> str:
    """Returns a number of bytes as text, in units of 1000 as disks are sold.

    >>> format_bytes(999), format_bytes(3_932_160), format_bytes(2.5e12), format_bytes(999_999)
    ('999 B', '3.9 MB', '2.5 TB', '1.0 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
