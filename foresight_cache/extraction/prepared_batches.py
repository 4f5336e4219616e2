"""Batches of samples, decoded and preprocessed for the model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.errors import BadSample
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.format.commits import SampleRow
from foresight_cache.points import LABELS
from foresight_cache.samples import ClipTimes, Sample
from foresight_cache.shards import ShardSamples, open_shard
from foresight_cache.writer import PendingShard

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class RawBatch:
    """Samples of one shard that go through the model together; their files are read one sample after the other."""

    shard: PendingShard
    content: ShardSamples
    positions: Sequence[int]
    is_last: bool
    """True if it is the shard's last batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedBatch:
    """A batch whose inputs are ready; samples that could not be decoded have left it."""

    shard: PendingShard
    positions: Sequence[int]
    samples: Sequence[Sample]
    pixels: Sequence[np.ndarray]
    """Resized pixels of each sample, uint8 [T, H, W, 3]."""
    texts: Sequence[str] | None
    """The user's words to each sample, where they are run."""
    times: Sequence[ClipTimes | None]
    """When the frames of each clip are shown."""
    labels: Sequence[np.ndarray | None]
    """Dense labels of each sample's pixels, uint8 [N, 1]; None where it has none."""
    model_inputs: "Mapping[str, torch.Tensor]"
    """Tensors that the model takes, on the CPU."""
    bad: Sequence[tuple[int, SampleRow]]
    """Samples that could not be decoded: position and row of each."""
    is_last: bool


def raw_batches(plan: CachePlan, pending: Iterator[PendingShard]) -> Iterator[RawBatch]:
    """Yields all batches of all pending shards, in order. A shard has samples, so it has a batch."""
    for shard in pending:
        content = open_shard(plan.shards, shard.number)
        planned = plan.inputs.batches(content.samples, plan.options.execution.batch_tokens)
        for positions in planned:
            yield RawBatch(shard=shard, content=content, positions=positions, is_last=positions is planned[-1])


def prepare_batch(batch: RawBatch, inputs: Inputs, *, with_text: bool) -> PreparedBatch:
    """Returns a batch decoded, resized and preprocessed; runs in a thread. Raises `ShardError`."""
    good: list[tuple[int, Sample, np.ndarray, ClipTimes | None, np.ndarray | None, str]] = []
    bad: list[tuple[int, SampleRow]] = []
    for position in batch.positions:
        sample, members = batch.content.samples[position], batch.content.members(position)
        try:
            text = inputs.text(sample.annotations) if with_text else ""
            labels = inputs.labels(sample, members) if LABELS in batch.shard.points else None
            good.append((position, sample, *inputs.decoded(sample, members), labels, text))
        except BadSample as error:
            row = SampleRow(sample=sample, status="bad", reason=str(error), grids={})
            bad.append((position, row))
    pixels = [pixels for _, _, pixels, *_ in good]
    times = [times for _, _, _, times, *_ in good]
    texts = [text for *_, text in good] if with_text else None
    return PreparedBatch(
        shard=batch.shard,
        positions=[position for position, *_ in good],
        samples=[sample for _, sample, *_ in good],
        pixels=pixels,
        labels=[labels for *_, labels, _ in good],
        times=times,
        texts=texts,
        model_inputs=inputs.preprocess(pixels, texts, times),
        bad=bad,
        is_last=batch.is_last,
    )
