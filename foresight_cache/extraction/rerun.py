"""Extracts samples of a cache again and compares: the check that no checksum can make."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.fingerprint import differences, refusal
from foresight_cache.points import LABELS, PIXELS, Point
from foresight_cache.reader import Cache
from foresight_cache.samples import ClipTimes, Media

if TYPE_CHECKING:
    import torch

TOLERANCE = 0.02
"""Largest relative difference that another processor may cause: a few units in the last place of bfloat16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Distance of a point's stored tokens from those of a second extraction."""

    point: str
    absolute: float
    """Largest absolute difference."""
    relative: float
    """Largest absolute difference as a share of the largest stored magnitude among the samples compared."""


def load_options(cache: Cache, device: str) -> LoadOptions:
    """Returns the options that the cache's model was loaded with, on this device."""
    model = cache.fingerprint["model"]
    prompt = {"prompt": model["prompt"]} if "prompt" in model else {}
    is_shared_out = device == "auto" and cache.fingerprint["execution"].get("device_map") == "auto"
    return LoadOptions(
        device_map="auto" if is_shared_out else "one",
        dtype=model["dtype"],
        device=device,
        attention=model["attention"] or LoadOptions().attention,
        compiled=model["compiled"],
        **prompt,
    )


def rerun(cache: Cache, encoder: Encoder, count: int, seed: int = 0) -> list[Difference]:
    """Extracts `count` random good samples again, in the batches of the first time, from the cached pixels.

    Raises `FingerprintMismatch` where the encoder is not the one that made the cache.
    """
    _check_same_model(cache, encoder)
    media: Media = next((row["media"] for row in cache.rows), "image")
    inputs = Inputs(encoder, InputSpec.from_json(cache.fingerprint["input"]), media)
    good = [index for index, row in enumerate(cache.rows) if row["status"] == "ok"]
    chosen = random.Random(seed).sample(good, min(count, len(good)))  # noqa: S311 - a sample, no secret
    points = [name for name in cache.arrays if name not in (PIXELS, LABELS)]
    stored: dict[str, list[np.ndarray]] = {point: [] for point in points}
    again: dict[str, list[np.ndarray]] = {point: [] for point in points}
    for index in chosen:
        batch = _batch_of(cache, inputs, index)
        features = _features(cache, inputs, points, batch)
        for point in points:
            stored[point].append(cache[point][index])
            again[point].append(features[point][batch.index(index)].float().cpu().numpy())
    return [_difference(point, stored[point], again[point]) for point in points]


def _features(
    cache: Cache, inputs: Inputs, points: Sequence[str], batch: Sequence[int]
) -> "dict[str, list[torch.Tensor]]":
    """Tokens [N, D] of the samples with these indices, computed together."""
    pixels = [cache[PIXELS].stored(index).reshape(*cache[PIXELS].grid_of(index), 3).copy() for index in batch]
    with_text = inputs.runs_text(map(Point.parse, cache.points))
    texts = [inputs.text(cache.rows[index]["annotations"]) for index in batch] if with_text else None
    features = inputs.encoder.forward(inputs.preprocess(pixels, texts, _times(cache, batch)), points)
    return inputs.regrouped(features, [len(clip) for clip in pixels])


def _times(cache: Cache, indices: Sequence[int]) -> list[ClipTimes | None]:
    """When the frames of these samples are shown, exactly as they were told."""
    rows = [row for commit in cache.commits for row in commit.rows]
    return [rows[index].times for index in indices]


def _difference(point: str, stored: Sequence[np.ndarray], again: Sequence[np.ndarray]) -> Difference:
    absolute = max((float(np.abs(a - b).max()) for a, b in zip(stored, again, strict=True)), default=0.0)
    largest = max((float(np.abs(a).max()) for a in stored), default=1.0)
    return Difference(point=point, absolute=absolute, relative=absolute / largest)


def _check_same_model(cache: Cache, encoder: Encoder) -> None:
    stored = {name: value for name, value in cache.fingerprint["model"].items() if name != "taps"}
    if phrases := differences({"model": stored}, {"model": dict(encoder.identity())}):
        remedy = "name the model that made it with --model"
        raise FingerprintMismatch(refusal(phrases, f"{cache.path} was made with another", remedy))


def _batch_of(cache: Cache, inputs: Inputs, index: int) -> list[int]:
    """The good samples that went through the model together with this one, in their order."""
    shard = cache.rows[index]["shard"]
    indices = [other for other, row in enumerate(cache.rows) if row["shard"] == shard]
    samples = [row.sample for commit in cache.commits if commit.shard == shard for row in commit.rows]
    planned = inputs.batches(samples, cache.fingerprint["execution"]["batch_tokens"])
    positions = next(batch for batch in planned if indices.index(index) in batch)
    return [indices[position] for position in positions if cache.rows[indices[position]]["status"] == "ok"]
