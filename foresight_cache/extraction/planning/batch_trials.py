"""Which batch size is fastest on this machine: tried, not assumed.

On two processor cores one image at a time can beat eight; on a large GPU two are far too few.
"""

import time
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING

from foresight_cache.encoders import Encoder
from foresight_cache.encoders.bases.prompts import render_prompt
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.samples import Sample
from foresight_cache.shards import Packed, ShardSet, read_shard
from foresight_cache.shards.members import Members

if TYPE_CHECKING:
    import torch

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Samples per batch that are tried, as long as they do not become slower."""
_REPEATS = 3
_SLOWER = 1.05
"""Times the fastest from which on a size counts as slower; after two such, no larger one is tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchTrial:
    """One size of a batch."""

    samples: int
    batch_tokens: int
    """The option of `extract` that makes batches of this size."""
    seconds_per_sample: float | None
    """Of the forward pass, the median of three; None where the device's memory did not hold the batch."""


def try_batches(shards: ShardSet, encoder: Encoder, options: ExtractionOptions) -> list[BatchTrial]:
    """Forward passes of growing batches of the first shard's samples, those of its most frequent size.

    Raises `DatasetError` where none of them can be used.
    """
    chosen, tokens = _alike(shards, encoder, options)
    trials: list[BatchTrial] = []
    for count in SIZES:
        seconds = _seconds(encoder, options, list(islice(cycle(chosen), count)))
        each = None if seconds is None else seconds / count
        trials.append(BatchTrial(samples=count, batch_tokens=count * tokens, seconds_per_sample=each))
        if seconds is None or (_worse(trials[-1:], trials) and _worse(trials[-2:], trials)):
            break
    return trials


def fastest(trials: Sequence[BatchTrial]) -> BatchTrial | None:
    """The one with the least time per sample; None where the memory did not hold a single sample."""
    held = [trial for trial in trials if trial.seconds_per_sample is not None]
    return min(held, key=lambda trial: trial.seconds_per_sample or 0.0) if held else None


def _worse(last: Sequence[BatchTrial], trials: Sequence[BatchTrial]) -> bool:
    best = fastest(trials)
    return best is not None and all(
        (trial.seconds_per_sample or 0.0) > _SLOWER * (best.seconds_per_sample or 0.0) for trial in last
    )


def _alike(shards: ShardSet, encoder: Encoder, options: ExtractionOptions) -> tuple[list[Packed], int]:
    """Samples of one grid, and the patch tokens of each."""
    groups: dict[Hashable, list[Packed]] = defaultdict(list)
    tokens: dict[Hashable, int] = {}
    for sample, members in read_shard(shards, 0):
        try:
            grids = options.inputs.grids(encoder, sample)
        except BadSample:
            continue
        groups[grids["pixel"]].append((sample, members))
        tokens[grids["pixel"]] = grids["patch"].tokens
    if not groups:
        raise DatasetError(f"no sample of {shards.path / shards.shards[0].name} can be used; see 'foresight prepare'")
    largest = max(groups, key=lambda size: len(groups[size]))
    return groups[largest][: SIZES[-1]], tokens[largest]


def _seconds(encoder: Encoder, options: ExtractionOptions, chosen: Sequence[Packed]) -> float | None:
    """Of one forward pass over these samples; None where the memory does not hold them."""
    import torch

    inputs = _inputs(encoder, options, chosen)
    points = [str(point) for point in options.points]
    taken = []
    try:
        for _ in range(1 + _REPEATS):  # the first one warms up
            begun = time.perf_counter()
            encoder.forward(inputs, points)
            if encoder.device.type == "cuda":
                torch.cuda.synchronize(encoder.device)
            taken.append(time.perf_counter() - begun)
    except torch.OutOfMemoryError:
        return None
    return median(taken[1:])


def _inputs(encoder: Encoder, options: ExtractionOptions, chosen: Sequence[Packed]) -> "Mapping[str, torch.Tensor]":
    rule = options.inputs
    samples: list[Sample] = [sample for sample, _ in chosen]
    pixels = [rule.pixels(encoder, sample, _as_bytes(members)) for sample, members in chosen]
    texts = (
        [render_prompt(encoder.options.prompt, sample.annotations) for sample in samples] if options.with_text else None
    )
    return rule.preprocess(encoder, pixels, samples[0].media, texts)


def _as_bytes(members: Members) -> dict[str, bytes]:
    """Of members that may be views of memory."""
    return {name: bytes(data) for name, data in members.items()}
