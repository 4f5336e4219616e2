"""Progress of copying: bytes as they come from many threads, shown as whole megabytes."""

from threading import Lock

from pipelines.progress_bar import Report

BYTES = 10**6


class Megabytes:
    """An `Advance` that counts bytes and tells a report, whose unit is MB, of each whole megabyte."""

    def __init__(self, report: Report) -> None:
        self._report, self._lock = report, Lock()
        self._bytes = self._shown = 0

    def __call__(self, samples: int, size: int) -> None:  # noqa: ARG002 - bytes are what is counted
        with self._lock:
            self._bytes += size
            whole = self._bytes // BYTES
            if whole != self._shown:
                self._report(whole - self._shown, 0)
                self._shown = whole


def in_megabytes(size: int) -> int | None:
    """Returns the whole megabytes in so many bytes; None where there is none to be shown.

    >>> in_megabytes(1), in_megabytes(2_500_000)
    (None, 2)
    """
    return size // BYTES or None
