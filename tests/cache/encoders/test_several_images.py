"""Several images in one prompt, for every family that has prompts."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import UsageError

FAMILIES = [
    name for name in encoders.names() if encoders.describe(f"tiny:{name}", LoadOptions(dtype="float32")).takes_prompt
]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module", params=FAMILIES)
def prompted(request: pytest.FixtureRequest) -> Any:
    return encoders.load(f"tiny:{request.param}", LoadOptions(dtype="float32", device="cpu"))


def pictures(encoder: Encoder, *units: tuple[int, int, int]) -> list[np.ndarray]:
    """Noise of so many frames and multiples of the patch, at the nearest possible sizes."""
    draw = np.random.default_rng(0)
    sizes = [
        (count, *encoder.nearest_size(h * encoder.patch_multiple, w * encoder.patch_multiple)) for count, h, w in units
    ]
    return [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def features(encoder: Encoder, clips: list[np.ndarray], media: Any, *points: str) -> dict[str, list[torch.Tensor]]:
    texts = ["What is it?"] * len(clips)
    return encoder.forward(encoder.preprocess(clips, media, texts), points)


def test_the_tower_sees_each_image_alone(prompted: Any) -> None:
    clips = pictures(prompted, (3, 2, 3), (2, 4, 2))
    points = ("vit.block_02", "vit.post_merge", "llm.embed")
    together = features(prompted, clips, "images", *points)
    alone = features(prompted, [frame[None] for clip in clips for frame in clip], "image", *points)
    for point in points:
        first, second = together[point]
        assert_close(first, torch.cat(alone[point][:3]), **CLOSE)
        assert_close(second, torch.cat(alone[point][3:]), **CLOSE)


def test_an_image_knows_of_those_before_it_and_of_no_other(prompted: Any) -> None:
    """Where visual tokens see the prompt, or those of all images, every image knows of every other."""
    sees_all = prompted.sees_prompt or prompted.family == "molmo2"
    (clip,) = pictures(prompted, (3, 2, 2))
    changed = clip.copy()
    changed[1] = 255 - changed[1]
    layer = "llm.layer_03"
    before, after = (features(prompted, [frames], "images", layer)[layer][0].chunk(3) for frames in (clip, changed))
    alone = features(prompted, [clip[:1]], "image", layer)[layer][0]
    if not sees_all:
        assert_close(before[0], alone, **CLOSE)
        assert_close(before[0], after[0], **CLOSE)
    for image in (0, 1, 2) if sees_all else (1, 2):
        assert (before[image] - after[image]).abs().max() > 1e-2


@pytest.mark.parametrize("family", [name for name in FAMILIES if name.startswith("qwen")])
def test_tokens_and_the_last_word_are_those_of_the_model_run_by_hand(family: str) -> None:
    """Through the processor's own chat template and `output_hidden_states`, with two images of one prompt."""
    encoder: Any = encoders.load(f"tiny:{family}", LoadOptions(dtype="float32", device="cpu"))
    (clip,) = pictures(encoder, (2, 2, 3))
    content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "What is it?"}]
    turns = [{"role": "user", "content": content}]
    text = encoder.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    inputs = encoder.processor(
        text=[text], images=list(clip), do_resize=False, return_mm_token_type_ids=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = encoder.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
    visual = inputs["input_ids"][0] == encoder.model.config.image_token_id
    assert (visual.int().diff() == 1).sum() == 2  # two runs, with words between them
    captured = features(encoder, [clip], "images", "llm.layer_02", "llm.layer_02@last_query", "llm.layer_02@mean")
    assert_close(captured["llm.layer_02"][0], states[2][0, visual], **CLOSE)
    assert_close(captured["llm.layer_02@last_query"][0], states[2][0, -1:], **CLOSE)
    assert_close(captured["llm.layer_02@mean"][0], states[2][0, visual].mean(0, keepdim=True), **CLOSE)


def test_a_batch_is_as_its_samples_alone(prompted: Any) -> None:
    clips = pictures(prompted, (3, 2, 3), (1, 2, 3), (2, 3, 2))
    points = ("vit.pre_merge", "llm.layer_04", "llm.layer_04@last_query", "llm.layer_04@last_vision")
    together = features(prompted, clips, "images", *points)
    for number, clip in enumerate(clips):
        alone = features(prompted, [clip], "images", *points)
        for point in points:
            assert_close(together[point][number], alone[point][0], **CLOSE)


def test_families_without_a_prompt_say_so() -> None:
    from foresight_cache.extraction.input_size import InputSize
    from foresight_cache.extraction.input_spec import InputSpec
    from foresight_cache.extraction.inputs import Inputs
    from foresight_cache.media.frame_sampling import Sampling

    spec = InputSpec(size=InputSize((112, 112)), sampling=Sampling(frames=2), clips_as="prompt")
    with pytest.raises(UsageError, match="dinov2 has no prompt; give it each frame by --clips-as images"):
        Inputs(encoders.describe("tiny:dinov2", LoadOptions()), spec, "clip")
