"""LLaVA-NeXT-Video: images with a newline and without a pool, clips with a pool and without a newline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Grid

FLOAT = LoadOptions(dtype="float32", device="cpu")


def test_grids_of_the_published_size(tmp_path: Path) -> None:
    make("LlavaNextVideoConfig").save_pretrained(tmp_path)
    encoder = encoders.describe(str(tmp_path), FLOAT)
    assert encoder.grid("patch", 8, 336, 336) == Grid(8, 24, 24)
    assert encoder.grid("merged", 1, 336, 336) == Grid(1, 24, 24)
    assert encoder.grid("merged", 8, 336, 336) == Grid(8, 12, 12)


def test_images_and_clips_of_one_batch_keep_their_own_tokens() -> None:
    """A clip of one frame is an image, whose newline must not move the tokens of the clips beside it."""
    encoder: Any = encoders.load("tiny:llava_next_video", FLOAT)
    draw = np.random.default_rng(0)
    clips = [draw.integers(0, 256, (frames, 84, 84, 3), dtype=np.uint8) for frames in (3, 1, 2, 1)]
    points = ("vit.post_merge", "llm.embed", "llm.layer_03")
    together = encoder.forward(encoder.preprocess(clips, "clip"), points)
    for number, clip in enumerate(clips):
        image = len(clip) == 1
        alone = encoder.forward(encoder.preprocess([clip], "image" if image else "clip"), points)
        for point in points:
            assert_close(together[point][number], alone[point][0], rtol=1e-4, atol=1e-4)
        assert len(alone["llm.embed"][0]) == (36 if image else 9 * len(clip))
        assert torch.equal(alone["llm.embed"][0], alone["vit.post_merge"][0])


@pytest.mark.parametrize("mode", ["average", "max", "conv"])
def test_every_way_to_pool_is_the_models_own(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from foresight_cache.encoders.llava_next_video import Family

    config, processor = Family.tiny()
    config.spatial_pool_mode = mode
    monkeypatch.setattr(Family, "tiny", lambda: (config, processor))
    encoder: Any = Family.load("tiny:llava_next_video", FLOAT)
    clip = np.random.default_rng(0).integers(0, 256, (2, 84, 84, 3), dtype=np.uint8)
    inputs = encoder.preprocess([clip], "clip")
    with torch.no_grad():
        expected = encoder.model.get_video_features(inputs["pixel_values"][None]).pooler_output
    assert_close(encoder.forward(inputs, ["llm.embed"])["llm.embed"][0], expected.flatten(0, 1), rtol=1e-4, atol=1e-4)
