"""The memory that closed forms take: a map for each penalty of each run, all of them until validation has chosen."""

import os
from collections.abc import Mapping, Sequence
from itertools import groupby

from foresight_cache.runtime.progress import format_bytes
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.tasks import Task
from foresight_probes.training.run_spec import RunSpec

AT_ONCE = 2**32
"""Bytes that runs take which are solved together; a single run may take more."""
MOST_OF_MEMORY = 0.5
"""Share of the machine's memory that one run may take."""
_COPIES = 2.5
"""What a run takes at most, in its maps: those of parts of its answers are put together."""


def map_bytes(task: Task, data: FeatureData, penalties: int) -> int:
    """Returns the bytes that a run takes: maps from features to answers in float64, copies of them, and its head."""
    width = sum(data.widths)
    return task.outputs_for(width=width, grid=data.grid).channels * width * int(8 * _COPIES * penalties + 4)


def together(runs: Sequence[RunSpec], sizes: Mapping[str, int]) -> list[list[int]]:
    """Returns the indices of runs in groups that are solved together, each at most `AT_ONCE`, by bytes of their tasks.

    A run reads the same alone and in company.
    """
    groups: list[int] = []
    used = 0
    for run in runs:
        group = groups[-1] if groups else 0
        if groups and used + sizes[run.task] > AT_ONCE:
            group, used = group + 1, 0
        used += sizes[run.task]
        groups.append(group)
    return [[index for index, _ in own] for _, own in groupby(enumerate(groups), key=lambda pair: pair[1])]


def too_large(size: int) -> str:
    """Returns in words that maps of so many bytes have no room on this machine; empty where they have."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size <= MOST_OF_MEMORY * memory:
        return ""
    return (
        f"its maps, one for each penalty, take {format_bytes(size)}, and this machine has {format_bytes(memory)} of "
        "memory; give fewer strengths in a --config file, or take a larger machine"
    )
