"""An encoder that returns a token too many or too few, and one whose tower leaves pixels: what becomes of the cache."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import FeatureError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.points import Point
from foresight_cache.shards import ShardSet, open_shards
from tests.support.extracting import extraction_options
from tests.support.preparing import prepare


def tiny(family: str) -> Encoder:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu"))


def pictures(folder: Path, *pixels: np.ndarray) -> ShardSet:
    (folder / "raw").mkdir()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"raw/{number}.png")
    prepare("image-folder", root=folder / "raw", out=folder / "S", samples_per_shard=2)
    return open_shards(folder / "S")


def noise(seed: int, side: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("more", [1, -1])
def test_nothing_of_a_shard_is_kept_where_a_sample_is_short_or_long(more: int, tmp_path: Path) -> None:
    """A family of its own making, whose forward pass returns what it likes for the fourth sample."""
    shards, encoder, runs = pictures(tmp_path, *(noise(seed, 112) for seed in range(4))), tiny("dinov2"), []

    def forward(inputs: Any, points: Any) -> Any:
        features = encoder.forward(inputs, points)
        runs.append(len(inputs["sizes"]))
        if sum(runs) == 4:
            (samples,) = features.values()
            samples[-1] = torch.cat([samples[-1], samples[-1][:1]]) if more > 0 else samples[-1][:-1]
        return features

    options = extraction_options([Point("vit.block_02")], "112")
    with pytest.raises(FeatureError, match=r"vit\.block_02 of sample .*/3 has \d+ tokens, expected 64, those"):
        extract(shards, encoder, options, tmp_path / "C", forward=forward)
    assert len(open_cache(tmp_path / "C")) == 2  # the shard before it is whole


def test_pictures_that_differ_only_where_no_token_looks_may_have_equal_features(tmp_path: Path) -> None:
    picture = noise(0, 118)
    outside, inside = picture.copy(), picture.copy()
    outside[112:] = 0
    inside[111, 111] ^= 255
    (tmp_path / "seen").mkdir()
    options = extraction_options([Point("vit.block_02")], "118")
    shards = pictures(tmp_path, picture, outside)
    extract(shards, tiny("siglip"), options, tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    np.testing.assert_array_equal(cache["vit.block_02"][0], cache["vit.block_02"][1])
    extract(pictures(tmp_path / "seen", picture, inside), tiny("siglip"), options, tmp_path / "D")


def test_pictures_that_differ_where_tokens_look_may_not(tmp_path: Path) -> None:
    inside = noise(0, 118)
    inside[111, 111] ^= 255
    encoder, first = tiny("siglip"), {}

    def stale(inputs: Any, points: Any) -> Any:
        features = encoder.forward(inputs, points)
        return first.setdefault("features", {point: [samples[0]] * 2 for point, samples in features.items()})

    options = extraction_options([Point("vit.block_02")], "118")
    with pytest.raises(FeatureError, match="although their images differ"):
        extract(pictures(tmp_path, noise(0, 118), inside), encoder, options, tmp_path / "C", forward=stale)
