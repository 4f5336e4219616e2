"""Progress of long work on stderr: samples/s, MB/s and the remaining time; a bar on a terminal, else plain lines."""

import sys
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

from foresight_cache.runtime.progress import StageTimes
from pipelines.progress_lines import ProgressLines
from pipelines.progress_records import ProgressRecords

_for_programs = ContextVar("for_programs", default=False)


class Report(Protocol):
    """What shows progress: it is called with samples and bytes that were finished since the last call."""

    def __call__(self, samples: int, size: int) -> None: ...

    def expect(self, total: int) -> None:
        """Takes the number of samples to come, when it is known."""
        ...


def progress(
    label: str, total: int | None, unit: str = "samples", times: StageTimes | None = None
) -> AbstractContextManager[Report]:
    """Shows progress while the block runs; `total` is the number of samples to come, or none if unknown.

    With `times`, also which stage the work waits for. Off a terminal, a command with --json writes JSON lines.
    """
    kind = ProgressBar if sys.stderr.isatty() else ProgressRecords if _for_programs.get() else ProgressLines
    return kind(label, total, unit, times)


def speak_to_programs(wanted: bool) -> bool:
    """Has the progress that begins from now on written for programs, or for people; returns what it was given."""
    _for_programs.set(wanted)
    return wanted


class ProgressBar:
    """A bar that moves, for a terminal."""

    def __init__(self, label: str, total: int | None, unit: str, times: StageTimes | None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._unit, self._times = unit, times
        self._done, self._size = 0, 0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(label, total=total, rate="", start=False)

    def __enter__(self) -> Self:
        self._bar.start_task(self._task)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, samples: int, size: int) -> None:
        self._done += samples
        self._size += size
        seconds = max(self._bar.tasks[self._task].elapsed or 0.0, 1e-3)
        rate = f"{self._done / seconds:,.1f} {self._unit}/s"
        rate += f" {self._size / seconds / 1e6:,.0f} MB/s" if self._size else ""
        stages = f"  {self._times.text()}" if self._times else ""
        self._bar.update(self._task, advance=samples, rate=rate + stages)

    def expect(self, total: int) -> None:
        """Takes the number of samples to come, when it is known."""
        self._bar.update(self._task, total=total)


def say(sentence: str) -> None:
    """A diagnostic for the person at the terminal."""
    print(sentence, file=sys.stderr)
