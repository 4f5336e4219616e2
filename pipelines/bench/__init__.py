"""Benchmarks, one file per part of `foresight bench`. This folder is the registry: `probes.py` is the part `probes`.

A part has a function `run(folder, quick)` that measures in an empty folder. What it compares runs in the same process
on the same data, in turn, since only ratios travel.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from foresight_cache.registry import Registry
from pipelines.bench.measuring.ratios import Figure


class Part(Protocol):
    """A file of this folder."""

    def run(self, folder: Path, *, quick: bool) -> Sequence[Figure]:
        """Measures in an empty folder; with `quick` in a fraction of the time, on less data."""
        ...


_REGISTRY = Registry(__name__, "benchmark")


def names() -> tuple[str, ...]:
    """Parts, by file name; nothing is imported."""
    return _REGISTRY.names()


def part(name: str) -> Part:
    """Raises `UnknownName`."""
    return cast(Part, _REGISTRY.module(name))
