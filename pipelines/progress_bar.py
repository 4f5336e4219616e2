"""Progress of long work on stderr: samples/s, MB/s and the remaining time; quiet when not a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from foresight_cache.runtime.progress import Advance, StageTimes


@contextmanager
def progress(
    label: str, total: int | None, unit: str = "samples", times: StageTimes | None = None
) -> Iterator[Advance]:
    """Shows a bar while the block runs; `total` is the number of samples to come, or none if unknown.

    With `times`, also which stage the work waits for.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(label, total=total, rate="")
        done = [0, 0]

        def advance(samples: int, size: int) -> None:
            done[0] += samples
            done[1] += size
            seconds = max(bar.tasks[task].elapsed or 0.0, 1e-3)
            rate = f"{done[0] / seconds:,.1f} {unit}/s" + (f" {done[1] / seconds / 1e6:,.0f} MB/s" if done[1] else "")
            stages = f"  {times.text()}" if times else ""
            bar.update(task, advance=samples, rate=rate + stages)

        yield advance


def say(sentence: str) -> None:
    """A diagnostic for the person at the terminal."""
    print(sentence, file=sys.stderr)
