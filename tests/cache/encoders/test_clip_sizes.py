"""Native sizes of clips are those of the model's own video processor, and bound over all frames."""

from typing import Any

import numpy as np
import pytest

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.bases.clip_sizes import FrameBudget
from foresight_cache.errors import BadSample
from foresight_cache.samples import Grid

QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
SIZES = [(112, 112), (36, 48), (480, 640), (840, 840), (720, 90), (33, 1200)]


def tiny(family: str) -> Any:
    return encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu"))


def real_bounds(encoder: Any) -> Any:
    """The encoder with the video processor of the published models, whose bounds tests of tiny sizes do not reach."""
    processor = type(encoder.processor.video_processor)(patch_size=encoder.config.vision_config.patch_size)
    encoder.processor.video_processor = processor
    return processor


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize("family", QWEN)
def test_grids_are_those_of_the_models_own_video_processor(family: str, frames: int) -> None:
    encoder = tiny(family)
    processor = real_bounds(encoder)
    for size in SIZES:
        shown = max(frames, 2) if family == "qwen3_vl" else frames  # its processor takes no single frame
        clip = np.zeros((shown, *size, 3), np.uint8)
        own = processor([clip], do_sample_frames=False, return_tensors="pt")["video_grid_thw"][0].tolist()
        mine = encoder.native_clip_size(frames, *size)
        assert encoder.grid("patch", frames, *mine) == Grid(*own)
        assert Grid(*own).tokens <= encoder.max_clip_tokens("patch", frames)
        assert frames * mine[0] * mine[1] <= encoder.max_clip_pixels(frames)


@pytest.mark.parametrize("family", QWEN)
def test_all_frames_together_are_bound(family: str) -> None:
    """A long clip of high resolution: less than 115,200 steps of 28 × 28 pixels of two frames, or what Qwen3-VL has."""
    encoder = tiny(family)
    real_bounds(encoder)
    most = {"qwen3_vl": 768 * 32 * 32}.get(family, 115_200 * 28 * 28 * 2)
    for frames in (4, 300, 600, 768):
        height, width = encoder.native_clip_size(frames, 2160, 3840)
        assert height * width * frames <= max(most, frames * encoder.patch_multiple**2)
    assert encoder.native_clip_size(768, 2160, 3840) < encoder.native_clip_size(8, 2160, 3840)


def test_a_processor_may_say_that_there_is_no_bound_over_all_frames() -> None:
    processor = tiny("qwen2_vl").processor.video_processor
    processor.size = {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28}
    assert FrameBudget(processor, 28, cap=False).frame_budget(768) == 768 * 28 * 28
    assert FrameBudget(processor, 28, cap=None).frame_budget(768) == 115_200 * 28 * 28 * 2 // 768


def test_encoders_of_one_processor_read_the_same_setting() -> None:
    first = tiny("qwen2_vl")
    config, processor = first.tiny()
    processor.video_processor.cap_pixels_per_frame = True
    settings = [type(first)(config, processor, options=LoadOptions())._caps_clips for _ in range(2)]
    assert settings == [True, True]


@pytest.mark.parametrize("family", QWEN)
def test_a_clip_that_is_too_narrow_is_one_bad_sample(family: str) -> None:
    with pytest.raises(BadSample, match="too narrow"):
        tiny(family).native_clip_size(8, 10, 2001)


def test_other_families_size_clips_as_images() -> None:
    encoder = tiny("dinov2")
    assert encoder.native_clip_size(8, 300, 200) == encoder.native_size(300, 200)
    assert encoder.max_clip_tokens("patch", 8) == encoder.max_tokens("patch", 8)
