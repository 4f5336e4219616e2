"""Particulars of Qwen2.5-VL: its prompt, the positions of clips, its sizes."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.errors import BadSample, UsageError
from foresight_cache.samples import Grid
from tests.support.order_proofs import make, tokens


def test_the_prompt_is_the_real_processors_up_to_the_last_visual_token(qwen: Family) -> None:
    clips, media = make(qwen, "mixed sizes")
    mine = qwen.preprocess(clips, media)
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Describe the image."}]}
    text = qwen.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    for number, clip in enumerate(clips):
        theirs = qwen.processor(text=[text], images=[clip[0]], do_resize=False)["input_ids"][0]
        last = max(position for position, token in enumerate(theirs) if token == qwen.model.config.image_token_id)
        row = mine["input_ids"][number][mine["attention_mask"][number].bool()]
        assert row.tolist() == list(theirs)[: last + 1]
        assert mine["attention_mask"][number].tolist() == sorted(mine["attention_mask"][number].tolist(), reverse=True)


def test_temporal_positions_of_a_clip_advance_with_its_seconds(qwen: Family) -> None:
    """Two frames a step at two frames a second is one second, which is two positions."""
    inputs = qwen.preprocess([np.zeros((6, 28, 56, 3), np.uint8)], "clip")
    seen: dict[str, torch.Tensor] = {}
    handle = qwen.model.model.language_model.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    try:
        qwen.forward(inputs, ["llm.embed"])
    finally:
        handle.remove()
    start = inputs["input_ids"].shape[1] - 6
    positions = seen["position_ids"][:, 0, start:] - start
    assert positions.tolist() == [[0, 0, 2, 2, 4, 4], [0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1]]


def test_an_odd_clip_repeats_its_last_frame(qwen: Family) -> None:
    clips, media = make(qwen, "clip of odd length")
    padded = [np.concatenate([clip, clip[-1:]]) for clip in clips]
    names = [tap.name for tap in qwen.taps]
    assert_close(tokens(qwen, clips, media, *names), tokens(qwen, padded, media, *names))


def test_an_image_is_a_clip_of_one_frame_to_the_tower(qwen: Family) -> None:
    clips, _ = make(qwen, "ragged windows")
    assert_close(tokens(qwen, clips, "clip", "vit.post_merge"), tokens(qwen, clips, "image", "vit.post_merge"))


def test_an_image_has_one_frame(qwen: Family) -> None:
    with pytest.raises(UsageError, match="exactly one frame"):
        qwen.preprocess([np.zeros((2, 28, 28, 3), np.uint8)], "image")


def test_taps_grids_and_sizes_are_those_of_the_architecture(qwen: Family) -> None:
    names = [tap.name for tap in qwen.taps]
    blocks, layers = [f"vit.block_{k:02d}" for k in range(1, 9)], [f"llm.layer_{k:02d}" for k in range(1, 5)]
    ends = ["vit.pre_merge", "vit.post_merge", "llm.embed"]
    assert names == ["vit.patch_embed", *blocks, *ends, *layers, "llm.final_norm"]
    assert qwen.grid("patch", 1, 448, 672) == Grid(1, 32, 48)
    assert qwen.grid("merged", 5, 448, 672) == Grid(3, 16, 24)
    assert qwen.native_size(480, 640) == (476, 644)


def test_a_strip_is_a_bad_sample(qwen: Family) -> None:
    with pytest.raises(BadSample, match="10×2001 pixels is too narrow"):
        qwen.native_size(10, 2001)


def test_an_impossible_size_names_the_nearest(qwen: Family) -> None:
    with pytest.raises(UsageError) as caught:
        qwen.grid("patch", 1, 450, 640)
    assert str(caught.value) == (
        "size 450 × 640 with 1 frames is not possible for qwen2_5_vl: height and width must be multiples of 28 pixels "
        "and frames at least 1; the nearest size is 448 × 644"
    )
