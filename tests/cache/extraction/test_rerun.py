"""Extracting again finds a cache whose checksums are right and whose features are not."""

from pathlib import Path

import numpy as np
import pytest

from foresight_cache import Cache, encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.extraction.rerun import TOLERANCE, rerun
from foresight_cache.points import PIXELS, resolve
from foresight_cache.shards import open_shards
from foresight_cache.writer import CacheWriter
from tests.support.preparing import prepare


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoders.load("tiny:qwen2_5_vl", LoadOptions())


@pytest.fixture(scope="module")
def cache(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    folder = tmp_path_factory.mktemp("rerun")
    prepare("shapes", out=folder / "S", limit=6, samples_per_shard=4)
    points = resolve(["E1", "E4", "E8"], [tap.name for tap in encoder.taps])
    options = ExtractionOptions(
        points=points, inputs=InputSpec(size=InputSize.parse("112")), execution=Execution(batch_tokens=192)
    )
    extract(open_shards(folder / "S"), encoder, options, folder / "C")
    return open_cache(folder / "C")


def test_an_honest_cache_does_not_differ(cache: Cache, encoder: Encoder) -> None:
    found = rerun(cache, encoder, count=6)
    assert [row.point for row in found] == ["vit.patch_embed", "vit.pre_merge", "llm.layer_04"]
    assert all(row.absolute == 0 for row in found)


def test_two_swapped_tokens_are_found(cache: Cache, encoder: Encoder, tmp_path: Path) -> None:
    """The order of tokens is what a checksum of wrong tokens would vouch for."""
    with CacheWriter(tmp_path / "C", cache.layout) as writer:
        for pending in writer.pending(tuple(cache.points)):
            with writer.shard(pending) as shard:
                commit = cache.commits[pending.number]
                for position in range(len(commit.rows)):
                    index = pending.number * 4 + position
                    for point in cache.points:
                        tokens = cache[point].stored(index).copy()
                        if point == "vit.pre_merge":
                            tokens[[1, 2]] = tokens[[2, 1]]
                        shard.add(position, point, tokens)
                shard.commit(commit.rows)
    found = {row.point: row for row in rerun(open_cache(tmp_path / "C"), encoder, count=2)}
    assert found["vit.pre_merge"].relative > TOLERANCE
    assert found["vit.patch_embed"].absolute == found["llm.layer_04"].absolute == 0


def test_another_model_is_refused(cache: Cache) -> None:
    other = encoders.load("tiny:qwen2_5_vl", LoadOptions(dtype="float32"))
    with pytest.raises(FingerprintMismatch, match=r"model\.dtype is 'bfloat16' in the cache and 'float32' here"):
        rerun(cache, other, count=1)


def test_features_are_what_the_encoder_returns_for_the_cached_pixels(cache: Cache, encoder: Encoder) -> None:
    """By one image alone in float32-free arithmetic: the stored bits are the model's bits."""
    pixels = cache[PIXELS].grid(5).astype(np.uint8)
    tokens = encoder.forward(encoder.preprocess([pixels], "image"), ["vit.patch_embed"])["vit.patch_embed"][0]
    np.testing.assert_array_equal(tokens.float().numpy(), cache["vit.patch_embed"][5])
