"""What `foresight inspect --watch` shows: one text in place on a terminal, a line now and then elsewhere."""

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from foresight_cache.watching import Headway, Watcher
from pipelines.progress_lines import duration

if TYPE_CHECKING:
    from foresight_cache.format.stores import Store

ON_TERMINAL, ELSEWHERE = 2.0, 60.0
"""Seconds between two looks."""
_MOST_WORKERS = 16
"""Shards at work that are listed by name."""


def watch(store: "Store", *, json_output: bool, every: float | None) -> None:
    """Shows how far a cache is until it is complete. Raises what `Watcher.look` raises."""
    on_terminal = sys.stdout.isatty() and not json_output
    looks = _looks(Watcher(store), every or (ON_TERMINAL if on_terminal else ELSEWHERE))
    if on_terminal:
        _in_place(looks)
        return
    for headway in looks:
        print(json.dumps(headway.to_json()) if json_output else line(headway), flush=True)


def line(headway: Headway) -> str:
    """Returns how far a cache is, in a line."""
    parts = [
        f"{headway.shards_done:,} of {headway.shards:,} shards",
        f"{headway.samples_done:,} of {headway.samples:,} samples, {headway.bad:,} bad",
    ]
    if headway.is_complete:
        return ", ".join([*parts, "complete"])
    if headway.at_work is not None:
        parts.append(f"{len(headway.at_work):,} shards being written")
    if headway.samples_per_second is None or headway.seconds_left is None:
        parts.append("no rate known yet")
    else:
        parts += [f"{headway.samples_per_second:,.1f} samples/s", f"{duration(headway.seconds_left)} left"]
    return ", ".join(parts)


def _looks(watcher: Watcher, every: float) -> Iterator[Headway]:
    while not (headway := watcher.look()).is_complete:
        yield headway
        time.sleep(every)
    yield headway


def _in_place(looks: Iterator[Headway]) -> None:
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        for headway in looks:
            live.update("\n".join([line(headway), *_workers(headway)]), refresh=True)


def _workers(headway: Headway) -> list[str]:
    at_work = headway.at_work or ()
    lines = [f"  shard {own.shard}: {own.worker}" for own in at_work[:_MOST_WORKERS]]
    return lines + ([f"  and {len(at_work) - _MOST_WORKERS} more"] if len(at_work) > _MOST_WORKERS else [])
