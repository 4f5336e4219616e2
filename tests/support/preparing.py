"""Preparations in a line, with the options by their names, and what came of them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare_dataset import PreparationSummary
from foresight_cache.preparation.prepare_dataset import prepare as prepare_with
from foresight_cache.preparation.selection import SampleSelection
from foresight_cache.runtime.progress import Advance, Expect, silent, unheard

_SELECTION = ("limit", "per_class", "shuffle_seed", "partial")


def prepare(
    dataset: str, *, out: Path, advance: Advance = silent, expect: Expect = unheard, **options: Any
) -> PreparationSummary:
    """Returns what `prepare` returns for these options and selection."""
    selection = {name: options.pop(name) for name in _SELECTION if name in options}
    return prepare_with(
        dataset, out, PreparationOptions(selection=SampleSelection(**selection), **options), advance, expect
    )


def edit(raw: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the COCO document of the split `train`."""
    path = raw / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def refusal(kind: type[Exception], **request: Any) -> str:
    """Returns the error with which a preparation is refused."""
    with pytest.raises(kind) as caught:
        prepare(request.pop("dataset", "coco"), **request)
    return str(caught.value)


def contents(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def ids(summary: PreparationSummary) -> list[str]:
    """Returns the ids of all packed samples in order."""
    return [sample_id for shard in summary.shards.shards for sample_id in shard.ids]


def stopping_after(samples: int) -> Advance:
    """Returns progress that is interrupted, as by Ctrl-C, when more samples than these are done."""
    seen = 0

    def advance(done: int, _: int) -> None:
        nonlocal seen
        seen += done
        if seen > samples:
            raise KeyboardInterrupt

    return advance
