"""Progress of long work where stderr is no terminal, as in the log of a cluster's job: a plain line now and then."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from foresight_cache.runtime.progress import StageTimes

FIRST, LONGEST = 3.0, 60.0
"""Seconds until the first line, and between lines at most; in between, each pause is as long as all before it."""


class ProgressLines:
    """Reports, by a thread of its own, so that it is also told where nothing is finished for long.

    What is over before the first line would come says nothing at all.
    """

    _always_ends = False
    """Whether the end is told in any case."""

    def __init__(self, label: str, total: int | None, unit: str, times: StageTimes | None) -> None:
        self._label, self._unit, self._times = label, unit, times
        self._done, self._size, self._total = 0, 0, total
        self._stream = sys.stderr
        self._start = time.monotonic()
        self._has_spoken = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._speak, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if (self._has_spoken or self._always_ends) and kind is None:
            self._print(over=True)

    def __call__(self, samples: int, size: int) -> None:
        self._done += samples
        self._size += size

    def expect(self, total: int) -> None:
        """Takes the number of samples to come, when it is known."""
        self._total = total

    def _speak(self) -> None:
        while not self._over.wait(min(LONGEST, max(FIRST, time.monotonic() - self._start))):
            self._print(over=False)

    def _print(self, *, over: bool) -> None:
        print(self._line(time.monotonic() - self._start, over=over), file=self._stream, flush=True)
        self._has_spoken = True

    def _line(self, seconds: float, *, over: bool) -> str:
        count = progress_text(self._unit, self._done, self._total, self._size, seconds, over=over)
        stages = self._times.text().replace(" · ", ", ") if self._times else ""
        return f"{self._label}: {count}" + (f" ({stages})" if stages else "")


def progress_text(unit: str, done: int, total: int | None, size: int, seconds: float, *, over: bool) -> str:
    """Returns what is done after so many seconds, at which rate, and the time that remains where the end is known.

    >>> progress_text("samples", 48, 96, 150_000_000, 12.0, over=False)
    '48 of 96 samples, 4.0 samples/s, 12.5 MB/s, 12 s left'
    >>> progress_text("runs", 3, None, 0, 90.0, over=False), progress_text("samples", 0, 5000, 0, 61.2, over=False)
    ('3 runs, 2.0 runs/min', '0 of 5,000 samples after 1 min 1 s')
    >>> progress_text("samples", 0, None, 0, 61.2, over=False), progress_text("samples", 0, None, 0, 75.0, over=True)
    ('at work for 1 min 1 s', 'done in 1 min 15 s')
    >>> progress_text("samples", 5000, 5000, 0, 7322.0, over=True)
    '5,000 of 5,000 samples in 2 h 2 min, 41.0 samples/min'
    """
    if not done and total is None:
        return f"{'done in' if over else 'at work for'} {duration(seconds)}"
    rate = done / max(seconds, 1e-3)
    parts = [f"{done:,}" + (f" of {total:,}" if total is not None else "") + f" {unit}"]
    if over:
        parts[0] += f" in {duration(seconds)}"
    elif not done:
        return f"{parts[0]} after {duration(seconds)}"
    parts.append(f"{rate:,.1f} {unit}/s" if rate >= 1 else f"{60 * rate:,.1f} {unit}/min")
    if size:
        parts.append(f"{size / max(seconds, 1e-3) / 1e6:,.1f} MB/s")
    if total is not None and not over:
        parts.append(f"{duration(max(0, total - done) / rate)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Returns a time in its two largest units.

    >>> duration(12.4), duration(75), duration(7322), duration(3 * 86400 + 3 * 3600)
    ('12 s', '1 min 15 s', '2 h 2 min', '3 d 3 h')
    """
    whole = round(seconds)
    for large, small, in_small, in_large in (("d", "h", 3600, 86400), ("h", "min", 60, 3600), ("min", "s", 1, 60)):
        if whole >= in_large:
            return f"{whole // in_large} {large} {whole % in_large // in_small} {small}"
    return f"{whole} s"
