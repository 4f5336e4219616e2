"""Which points and samples of two caches can be compared, and their tokens."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance
from foresight_probes.features.sources import Source, as_tensor

BATCH_ROWS = 1024
"""Rows that are multiplied at once, as long as a sample has no more."""


def select_points(cache: Cache, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the points that names, aliases or patterns mean, each once; all for None.

    They are in the order of computation, the pixels first. Raises `UnknownName` with the nearest names.
    """
    names = cache.points if texts is None else cache.select(texts)
    if not names:
        raise UsageError(f"no point was named; {cache.path} has {', '.join(cache.points)}")
    return tuple(sorted(names, key=lambda name: name != PIXELS))


def common_rows(cache: Cache, other: Cache | None) -> list[tuple[int, int]]:
    """Rows of each sample in both caches, or twice that of one; samples that either has quarantined are left out."""
    second = cache if other is None else other
    ids, other_ids = ({row["id"]: index for index, row in enumerate(each.rows)} for each in (cache, second))
    if alone := ids.keys() ^ other_ids.keys():
        count = f"{len(alone):,} samples are" if len(alone) > 1 else "1 sample is"
        lack = "no sample in common" if not ids.keys() & other_ids.keys() else "not the same samples"
        raise ProbeError(
            f"{cache.path} and {second.path} have {lack}: {count} in one of them alone, such as {min(alone)}; "
            "compare caches that were extracted from the same shards"
        )
    rows = [(index, other_ids[name]) for name, index in ids.items()]
    usable = [pair for pair in rows if cache.rows[pair[0]]["status"] == second.rows[pair[1]]["status"] == "ok"]
    if not usable:
        raise ProbeError(f"{cache.path} has no sample that can be compared, of {len(rows)} that are committed")
    return usable


def require_one_fit(cache: Cache, other: Cache) -> None:
    fits = [{row["fit"] for row in each.rows} for each in (cache, other)]
    if fits[0] != fits[1]:
        raise ProbeError(
            f"{cache.path} and {other.path} fit images into the input in other ways ({', '.join(*fits[:1])} and "
            f"{', '.join(*fits[1:])}), so that tokens lie elsewhere; compare means over tokens instead"
        )


def read_tokens(source: Source, row: int) -> Tensor:
    out_ND = np.empty((source.grid(row).tokens, source.width), source.dtype)
    source.read_into(row, out_ND, check=True)
    return as_tensor(out_ND)


def batches(samples: Iterable[Sequence[Tensor]], advance: Advance) -> Iterator[list[Tensor]]:
    """Joins samples to at least `BATCH_ROWS` rows."""
    waiting: list[Sequence[Tensor]] = []
    for features in samples:
        waiting.append(features)
        if sum(len(each[0]) for each in waiting) >= BATCH_ROWS:
            yield _joined(waiting, advance)
            waiting = []
    if waiting:
        yield _joined(waiting, advance)


def _joined(samples: Sequence[Sequence[Tensor]], advance: Advance) -> list[Tensor]:
    advance(len(samples), sum(features.nbytes for sample in samples for features in sample))
    return [torch.cat(parts) for parts in zip(*samples, strict=True)]
