"""Trials of batch sizes: the fastest one on this machine is measured, not assumed.

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
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.shards import ShardSamples, ShardSet, open_shard

if TYPE_CHECKING:
    import torch

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Samples per batch that are tried, as long as they do not become slower."""
_REPEATS = 3
_SLOWER = 1.05
"""Times the fastest from which on a size counts as slower; after two such, no larger one is tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchTrial:
    """One size of a batch, and how long its forward pass took."""

    samples: int
    batch_tokens: int
    """Value of the option of `extract` that makes batches of this size."""
    seconds_per_sample: float | None
    """Seconds of the forward pass, the median of three; None where the device's memory did not hold the batch."""


def try_batches(shards: ShardSet, encoder: Encoder, options: ExtractionOptions) -> list[BatchTrial]:
    """Times forward passes of growing batches of the first shard's samples, those of its most frequent size.

    Raises `DatasetError` where none of them can be used.
    """
    inputs = Inputs(encoder, options.inputs, shards.media)
    content = open_shard(shards, 0)
    positions, tokens = _alike(content, inputs)
    trials: list[BatchTrial] = []
    for count in SIZES:
        seconds = _median_forward_seconds(inputs, options, content, list(islice(cycle(positions), count)))
        per_sample = None if seconds is None else seconds / count
        trials.append(BatchTrial(samples=count, batch_tokens=count * tokens, seconds_per_sample=per_sample))
        if seconds is None or (_worse(trials[-1:], trials) and _worse(trials[-2:], trials)):
            break
    return trials


def fastest(trials: Sequence[BatchTrial]) -> BatchTrial | None:
    """Returns the trial with the least time per sample; None where the memory did not hold a single sample."""
    held = [trial for trial in trials if trial.seconds_per_sample is not None]
    return min(held, key=lambda trial: trial.seconds_per_sample or 0.0) if held else None


def _worse(last: Sequence[BatchTrial], trials: Sequence[BatchTrial]) -> bool:
    best = fastest(trials)
    return best is not None and all(
        (trial.seconds_per_sample or 0.0) > _SLOWER * (best.seconds_per_sample or 0.0) for trial in last
    )


def _alike(content: ShardSamples, inputs: Inputs) -> tuple[list[int], int]:
    """Returns the positions of samples of one grid, and the patch tokens of each. Raises `DatasetError`."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    tokens: dict[Hashable, int] = {}
    for position, sample in enumerate(content.samples):
        try:
            grids = inputs.grids(sample)
        except BadSample:
            continue
        groups[grids["pixel"]].append(position)
        tokens[grids["pixel"]] = grids["patch"].tokens
    if not groups:
        raise DatasetError(f"no sample of {content.path} can be used; see 'foresight prepare'")
    largest = max(groups, key=lambda size: len(groups[size]))
    return groups[largest][: SIZES[-1]], tokens[largest]


def _median_forward_seconds(
    inputs: Inputs, options: ExtractionOptions, content: ShardSamples, positions: Sequence[int]
) -> float | None:
    """Of one forward pass over these samples; None where the memory does not hold them."""
    import torch

    encoder, points = inputs.encoder, [str(point) for point in options.points]
    model_inputs = _model_inputs(inputs, content, positions, with_text=inputs.runs_text(options.points))
    seconds = []
    try:
        for _ in range(1 + _REPEATS):  # the first one warms up
            begun = time.perf_counter()
            encoder.forward(model_inputs, points)
            if encoder.device.type == "cuda":
                torch.cuda.synchronize(encoder.device)
            seconds.append(time.perf_counter() - begun)
    except torch.OutOfMemoryError:
        return None
    return median(seconds[1:])


def _model_inputs(
    inputs: Inputs, content: ShardSamples, positions: Sequence[int], *, with_text: bool
) -> "Mapping[str, torch.Tensor]":
    samples = [content.samples[position] for position in positions]
    decoded = [inputs.decoded(content.samples[position], content.members(position)) for position in positions]
    texts = [inputs.text(sample.annotations) for sample in samples] if with_text else None
    return inputs.preprocess([pixels for pixels, _ in decoded], texts, [times for _, times in decoded])
