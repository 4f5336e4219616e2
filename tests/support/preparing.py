"""Preparations in a line: the options by their names."""

from pathlib import Path
from typing import Any

from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare import PreparationSummary
from foresight_cache.preparation.prepare import prepare as prepare_with
from foresight_cache.preparation.selection import SampleSelection
from foresight_cache.runtime.progress import Advance, silent

_SELECTION = ("limit", "per_class", "shuffle_seed", "partial")


def prepare(dataset: str, *, out: Path, advance: Advance = silent, **options: Any) -> PreparationSummary:
    """Returns what `prepare` returns for these options and selection."""
    selection = {name: options.pop(name) for name in _SELECTION if name in options}
    return prepare_with(dataset, out, PreparationOptions(selection=SampleSelection(**selection), **options), advance)
