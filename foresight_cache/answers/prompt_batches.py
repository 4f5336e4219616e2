"""Batches of prompts of one length: no padding, so that a batch has the numbers of each of its prompts alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.errors import BadSample
from foresight_cache.extraction.batching import batches
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.samples import ClipTimes, Media, Sample
from foresight_cache.shards import ShardSamples

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


@dataclass(frozen=True, slots=True)
class Asked:
    """Samples of a shard by position, in batches, and why others cannot be asked."""

    batches: Sequence[Sequence[int]]
    texts: "Mapping[int, str]"
    """The user's words to each sample that can be asked."""
    failures: "Mapping[int, str]"


@dataclass(frozen=True, slots=True)
class Prompts:
    """A batch whose media are decoded: inputs of the model for the samples at these positions."""

    batches: "Sequence[tuple[Sequence[int], Mapping[str, torch.Tensor]]]" = field(default=())
    failures: "Mapping[int, str]" = field(default_factory=dict)


def asked(inputs: Inputs, encoder: LanguageEncoder, samples: Sequence[Sample], budget: int) -> Asked:
    """Plans the batches of a shard by its records alone, each of at most `budget` patch tokens."""
    texts: dict[int, str] = {}
    failures: dict[int, str] = {}
    shapes, tokens = [], []
    shown: Media = inputs.media if inputs.media in encoder.media else "image"
    for position, sample in enumerate(samples):
        try:
            grids, text = inputs.grids(sample), inputs.text(sample.annotations)
        except BadSample as error:
            failures[position] = str(error)
            continue
        texts[position] = text
        words = len(encoder.token_ids(encoder.render_turn(shown, text, 1)))
        shapes.append((grids["pixel"], words))
        tokens.append(grids["patch"].tokens)
    positions = list(texts)
    planned = [[positions[index] for index in batch] for batch in batches(shapes, tokens, budget)]
    return Asked(planned, texts, failures)


def prompts(inputs: Inputs, content: ShardSamples, plan: Asked, batch: Sequence[int]) -> Prompts:
    """Decodes a batch and makes the model's inputs of it; runs in a thread. Raises `ShardError`.

    Where prompts have several lengths after all, as with times of frames among the words, each is a batch.
    """
    decoded: dict[int, tuple[np.ndarray, ClipTimes | None]] = {}
    failures: dict[int, str] = {}
    for position in batch:
        try:
            decoded[position] = inputs.decoded(content.samples[position], content.members(position))
        except BadSample as error:
            failures[position] = str(error)
    if not decoded:
        return Prompts(failures=failures)
    together = _preprocessed(inputs, plan, decoded)
    if bool(together["attention_mask"].all()):
        return Prompts([(list(decoded), together)], failures)
    alone = [([position], _preprocessed(inputs, plan, {position: decoded[position]})) for position in decoded]
    return Prompts(alone, failures)


def _preprocessed(
    inputs: Inputs, plan: Asked, decoded: "Mapping[int, tuple[np.ndarray, ClipTimes | None]]"
) -> "Mapping[str, torch.Tensor]":
    pixels = [pixels for pixels, _ in decoded.values()]
    return inputs.preprocess(
        pixels, [plan.texts[position] for position in decoded], [times for _, times in decoded.values()]
    )
