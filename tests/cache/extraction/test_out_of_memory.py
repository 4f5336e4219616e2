"""A device without memory for a batch: halves are computed instead, and the commit says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import ModelError
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.points import resolve
from foresight_cache.shards import ShardSet, open_shards
from foresight_cache.verify import verify
from tests.support.preparing import prepare


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = tmp_path_factory.mktemp("halving")
    prepare("shapes", out=folder / "S", limit=14, samples_per_shard=8)
    return open_shards(folder / "S")


def options(encoder: Encoder) -> ExtractionOptions:
    points = resolve(["E4", "llm.layer_02", "llm.layer_02@last_query"], [tap.name for tap in encoder.taps])
    return ExtractionOptions(
        points=points, inputs=InputSpec(size=InputSize.parse("56")), execution=Execution(batch_tokens=8 * 16)
    )


def load(most: int | None = None) -> tuple[Any, list[int]]:
    """A model whose device holds `most` samples; also the sizes of the batches that were tried."""
    encoder: Any = encoders.load("tiny:qwen2_vl", LoadOptions(dtype="float32", device="cpu"))
    run: Callable[..., None] = encoder.run_model
    tried: list[int] = []

    def limited(inputs: dict[str, torch.Tensor], taps: Any) -> None:
        tried.append(len(inputs["input_ids"]))
        if most is not None and tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        run(inputs, taps)

    encoder.run_model = limited
    return encoder, tried


def halved(cache: Path) -> list[int]:
    """Of each shard, and the same for all of its points but the pixels' bytes."""
    commits = [json.loads((cache / f"samples/{number:06d}.json").read_text()) for number in range(2)]
    told = [{entry.get("halved", 0) for entry in commit["objects"].values()} for commit in commits]
    assert all(len(numbers) == 1 for numbers in told)
    return [numbers.pop() for numbers in told]


def test_halves_give_the_same_features_and_are_told(shards: ShardSet, tmp_path: Path) -> None:
    (whole, sizes), (small, tried) = load(), load(most=3)
    extract(shards, whole, options(whole), tmp_path / "whole")
    extract(shards, small, options(small), tmp_path / "small")
    assert sizes == [8, 6]
    # The first batch fails, then its half; what failed is not tried again.
    assert tried == [8, 4, 2, 2, 2, 2, 3, 3]
    assert halved(tmp_path / "whole") == [0, 0]
    assert halved(tmp_path / "small") == [3, 1]
    cache, other = open_cache(tmp_path / "small"), open_cache(tmp_path / "whole")
    assert verify(cache) == []
    assert cache.digest == other.digest
    for point in cache.points:
        for index in range(14):
            np.testing.assert_allclose(cache[point][index], other[point][index], rtol=1e-3, atol=1e-3)


def test_a_sample_that_does_not_fit_alone_is_one_sentence(shards: ShardSet, tmp_path: Path) -> None:
    encoder, _ = load(most=0)
    with pytest.raises(ModelError, match="the memory of cpu does not hold a single sample of 16 patches"):
        extract(shards, encoder, options(encoder), tmp_path / "C")
    assert len(open_cache(tmp_path / "C")) == 0


def test_other_errors_pass_through(shards: ShardSet, tmp_path: Path) -> None:
    encoder, _ = load()

    def fail(*_: object) -> None:
        raise RuntimeError("device-side assert triggered")

    encoder.run_model = fail
    with pytest.raises(RuntimeError, match="device-side assert"):
        extract(shards, encoder, options(encoder), tmp_path / "C")
