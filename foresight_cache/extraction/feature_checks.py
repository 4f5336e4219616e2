"""Checks for values that no cache should hold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from foresight_cache.errors import FeatureError
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import MOST_TEXT_TOKENS, POOLED_GRID, PointLayout
from foresight_cache.format.shard_object import checksum
from foresight_cache.points import Point
from foresight_cache.samples import Grid

if TYPE_CHECKING:
    import torch

_ADVICE = "nothing of its shard was kept"


def extremes(features: "Mapping[str, Sequence[torch.Tensor]]") -> "dict[str, list[torch.Tensor]]":
    """Returns by point one float32 tensor [B, 2] of the least and the largest number of each sample's tokens [N, D].

    It is computed where the features are, without waiting for it. Pixels, uint8, are left out: a black picture is one.
    """
    import torch

    return {
        point: [torch.stack([torch.stack(torch.aminmax(tokens)) for tokens in samples]).float()]
        for point, samples in features.items()
        if not samples or samples[0].dtype != torch.uint8
    }


def check_extremes(extremes_B2: Mapping[str, np.ndarray], ids: Sequence[str]) -> None:
    """Raises `FeatureError` for NaN, infinite, all-zero or constant tokens, naming point and sample.

    `extremes_B2` holds by point the least and the largest number of each sample.
    """
    for point, bounds_B2 in extremes_B2.items():
        for sample, (low, high) in zip(ids, bounds_B2.tolist(), strict=True):
            if not (abs(low) < float("inf") and abs(high) < float("inf")):
                raise FeatureError(
                    f"{point} of sample {sample} holds NaN or infinite values; {_ADVICE}; "
                    "try --dtype float32 or look at the model"
                )
            if low == high:
                raise FeatureError(
                    f"{point} of sample {sample} is {low} everywhere; {_ADVICE}; "
                    "look at the model's weights and at the image"
                )


def with_text_grids(rows: Sequence[SampleRow], features: Mapping[str, Sequence[np.ndarray]]) -> list[SampleRow]:
    """Returns the rows with grids on the level `text`, where a point has the prompt's own tokens.

    Raises `FeatureError` where a prompt has more of them than there is place for.
    """
    samples = next((samples for point, samples in features.items() if Point.parse(point).readout == "text"), None)
    if samples is None:
        return list(rows)
    for tokens, row in zip(samples, rows, strict=True):
        if len(tokens) > MOST_TEXT_TOKENS:
            raise FeatureError(
                f"the prompt to sample {row.sample.id} has {len(tokens)} tokens after the visual ones, expected at "
                f"most {MOST_TEXT_TOKENS}; {_ADVICE}; leave out the points @text or take a shorter --prompt"
            )
    return [
        replace(row, grids={**row.grids, "text": Grid(1, 1, len(tokens))})
        for tokens, row in zip(samples, rows, strict=True)
    ]


def check_counts(
    features: Mapping[str, Sequence[np.ndarray]], points: Mapping[str, PointLayout], rows: Sequence[SampleRow]
) -> None:
    """Raises `FeatureError` where a sample's tokens [N, D] at a point are not as many as its grid there has.

    `rows` are those of the samples, `points` the layouts by name.
    """
    for point, samples in features.items():
        if len(samples) != len(rows):
            raise FeatureError(f"{point} has features of {len(samples)} samples, {len(rows)} were computed; {_ADVICE}")
        level = points[point].level
        for tokens, row in zip(samples, rows, strict=True):
            expected = POOLED_GRID if level == "pooled" else row.grids[level]
            if len(tokens) != expected.tokens:
                raise FeatureError(
                    f"{point} of sample {row.sample.id} has {len(tokens)} tokens, expected {expected.tokens}, those of "
                    f"its grid {expected.t} × {expected.h} × {expected.w}; {_ADVICE}; look at the model and its encoder"
                )


class DuplicateGuard:
    """Guard against inputs of a shard that look different and have identical features, a sign of stale outputs."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bytes], tuple[str, bytes]] = {}

    def check(self, sample: str, pixels: np.ndarray, features: Mapping[str, np.ndarray]) -> None:
        """Adds one sample, with what the model sees of it. Raises `FeatureError` where another one has its features.

        Samples with the same pixels may have the same features.
        """
        picture = checksum(np.ascontiguousarray(pixels).reshape(-1))
        for point, tokens in features.items():
            key = point, checksum(tokens.reshape(-1).view(np.uint8))
            other, other_picture = self._seen.setdefault(key, (sample, picture))
            if picture != other_picture:
                raise FeatureError(
                    f"{point} of sample {sample} is that of sample {other}, although their images differ; {_ADVICE}; "
                    "look at the model and at its encoder"
                )
