"""Extracts samples of a cache again and compares: the check that no checksum can make."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.encoders.bases.prompts import render_prompt
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.extraction.inputs import InputSpec
from foresight_cache.fingerprint import differences
from foresight_cache.points import PIXELS, Point
from foresight_cache.reader import Cache

TOLERANCE = 0.02
"""Largest relative difference that another processor may cause: a few units in the last place of bfloat16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How far a point's stored tokens are from those of a second extraction."""

    point: str
    absolute: float
    """Largest absolute difference."""
    relative: float
    """The same as a share of the largest stored magnitude among the samples compared."""


def load_options(cache: Cache, device: str) -> LoadOptions:
    """The options that the cache's model was loaded with."""
    model = cache.fingerprint["model"]
    asked = {"prompt": model["prompt"]} if "prompt" in model else {}
    return LoadOptions(
        dtype=model["dtype"], device=device, attention=model["attention"], compiled=model["compiled"], **asked
    )


def rerun(cache: Cache, encoder: Encoder, count: int, seed: int = 0) -> list[Difference]:
    """Extracts `count` random good samples again, in the batches of the first time, from the cached pixels.

    Raises `FingerprintMismatch` where the encoder is not the one that made the cache.
    """
    _check_same_model(cache, encoder)
    rule = InputSpec.from_json(cache.fingerprint["input"])
    good = [index for index, row in enumerate(cache.rows) if row["status"] == "ok"]
    chosen = random.Random(seed).sample(good, min(count, len(good)))  # noqa: S311 - a sample, no secret
    points = [point for point in cache.points if point != PIXELS]
    stored: dict[str, list[np.ndarray]] = {point: [] for point in points}
    again: dict[str, list[np.ndarray]] = {point: [] for point in points}
    for index in chosen:
        batch = _batch_of(cache, encoder, rule, index)
        pixels = [cache[PIXELS].stored(other).reshape(*cache[PIXELS].grid_of(other), 3).copy() for other in batch]
        media = cache.rows[index]["media"]
        inputs = rule.preprocess(encoder, pixels, media, _texts(cache, encoder, batch))
        features = rule.regrouped(encoder.forward(inputs, points), [len(clip) for clip in pixels], media)
        for point in points:
            stored[point].append(cache[point][index])
            again[point].append(features[point][batch.index(index)].float().cpu().numpy())
    return [_difference(point, stored[point], again[point]) for point in points]


def _texts(cache: Cache, encoder: Encoder, batch: Sequence[int]) -> list[str] | None:
    """The user's words to each sample, where a point needs them."""
    if not any(Point.parse(name).readout == "last_query" for name in cache.points):
        return None
    return [render_prompt(encoder.options.prompt, cache.rows[index]["annotations"]) for index in batch]


def _difference(point: str, stored: Sequence[np.ndarray], again: Sequence[np.ndarray]) -> Difference:
    absolute = max((float(np.abs(a - b).max()) for a, b in zip(stored, again, strict=True)), default=0.0)
    largest = max((float(np.abs(a).max()) for a in stored), default=1.0)
    return Difference(point=point, absolute=absolute, relative=absolute / largest)


def _check_same_model(cache: Cache, encoder: Encoder) -> None:
    wanted = {name: value for name, value in cache.fingerprint["model"].items() if name != "taps"}
    if found := differences({"model": wanted}, {"model": dict(encoder.identity())}):
        raise FingerprintMismatch(f"this model did not make {cache.path}: {'; '.join(found)}; name it with --model")


def _batch_of(cache: Cache, encoder: Encoder, rule: InputSpec, index: int) -> list[int]:
    """The good samples that went through the model together with this one, in their order."""
    shard = cache.rows[index]["shard"]
    members = [other for other, row in enumerate(cache.rows) if row["shard"] == shard]
    samples = [row.sample for commit in cache.commits if commit.shard == shard for row in commit.rows]
    planned = rule.batches(encoder, samples, cache.fingerprint["execution"]["batch_tokens"])
    positions = next(batch for batch in planned if members.index(index) in batch)
    return [members[position] for position in positions if cache.rows[members[position]]["status"] == "ok"]
