"""A family whose visual tokens see the prompt: nothing is cut, each sample has its own words, and a cache says so."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresight_cache import encoders, open_cache
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.qwen2_vl import Family
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.points import Point
from foresight_cache.shards import open_shards
from tests.support.extracting import extraction_options
from tests.support.preparing import prepare


@pytest.fixture
def seeing(monkeypatch: pytest.MonkeyPatch) -> encoders.Encoder:
    """A causal family that says of itself that it is not, which is enough to see what is run."""
    monkeypatch.setattr(Family, "sees_prompt", True)
    return encoders.load("tiny:qwen2_vl", LoadOptions(dtype="float32", device="cpu", prompt="What is this?"))


def test_nothing_is_cut(seeing: encoders.Encoder) -> None:
    clips = [np.zeros((1, 56, 56, 3), np.uint8)]
    whole = seeing.preprocess(clips, "image", ["What is this?"])["input_ids"]
    assert torch.equal(seeing.preprocess(clips, "image")["input_ids"], whole)


def test_a_cache_says_that_the_prompt_is_seen(seeing: encoders.Encoder, tmp_path: Path) -> None:
    prepare("shapes", out=tmp_path / "S", limit=2)
    options = extraction_options([Point("llm.embed")], "56")
    extract(open_shards(tmp_path / "S"), seeing, options, tmp_path / "C")
    cache = open_cache(tmp_path / "C")
    assert cache.fingerprint["model"]["sees_prompt"] is True
    assert cache.summary()["prompt"] == "'What is this?', which visual tokens see"


def test_frames_that_stand_alone_have_the_words_of_their_clip(seeing: encoders.Encoder, tmp_path: Path) -> None:
    prepare("bouncing-balls", out=tmp_path / "S", limit=2)
    options = extraction_options([Point("llm.embed")], "56", frames=2, clips_as="images")
    extract(open_shards(tmp_path / "S"), seeing, options, tmp_path / "C")
    assert open_cache(tmp_path / "C")["llm.embed"].grid(1).shape[:3] == (2, 2, 2)


def test_causal_families_say_nothing() -> None:
    assert "sees_prompt" not in encoders.load("tiny:qwen2_vl", LoadOptions(dtype="float32", device="cpu")).identity()
