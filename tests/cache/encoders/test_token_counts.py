"""As many tokens as the grid has, at every tap: class tokens that go into the language model, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions, Tap
from foresight_cache.encoders.bases.towers import Tower
from foresight_cache.encoders.internvl import Family as InternVL
from foresight_cache.encoders.llava_next import Family as LlavaNext
from foresight_cache.encoders.llava_onevision import Family as LlavaOnevision
from foresight_cache.errors import FeatureError, ForesightError, ModelError
from tests.support.order_proofs import make, tokens

FLOAT = LoadOptions(dtype="float32", device="cpu")


def with_selection(family: Any, strategy: str, monkeypatch: pytest.MonkeyPatch, tower: str | None = None) -> Any:
    """The tiny model of a family whose configuration selects other features, perhaps of another tower."""
    config, processor = family.tiny()
    config.vision_feature_select_strategy = processor.vision_feature_select_strategy = strategy
    if tower is not None:
        sizes = {"image_size": 70, "patch_size": 14, "hidden_size": 64, "num_attention_heads": 4}
        kind = type(config)
        others = {"vision_config": {"model_type": tower, **sizes, "num_hidden_layers": 2, "intermediate_size": 64}}
        config = kind(**{**config.to_dict(), **others})
    monkeypatch.setattr(family, "tiny", lambda: (config, processor))
    return family.load(f"tiny:{family.family}", FLOAT)


def test_class_tokens_go_into_the_language_model_and_not_among_the_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: tower and projector of each image alone, whose first row is the class token's."""
    llava = with_selection(LlavaNext, "full", monkeypatch)
    clips, media = make(llava, "three of a size")
    taps = ("vit.pre_merge", "vit.post_merge", "llm.embed")
    captured = llava.forward(llava.preprocess(clips, media), [*taps, "vit.post_merge@cls", "llm.embed@last_vision"])
    settings = llava.processor.image_processor
    mean, deviation = torch.tensor(settings.image_mean), torch.tensor(settings.image_std)
    for number, clip in enumerate(clips):
        pixels = ((torch.from_numpy(clip) / 255 - mean) / deviation).permute(0, 3, 1, 2)
        with torch.no_grad():
            states = llava.model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-2]
            projected = llava.model.model.multi_modal_projector(states)[0]
        assert_close(captured["vit.pre_merge"][number], states[0, 1:], rtol=1e-4, atol=1e-4)
        for tap in ("vit.post_merge", "llm.embed"):
            assert_close(captured[tap][number], projected[1:], rtol=1e-4, atol=1e-4)
        assert_close(captured["vit.post_merge@cls"][number], projected[:1], rtol=1e-4, atol=1e-4)
        assert_close(captured["llm.embed@last_vision"][number], projected[-1:], rtol=1e-4, atol=1e-4)


def test_the_language_model_sees_the_class_token_as_the_models_own_pass_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's own code for one view: class token, patches, newline, which it is given here without tiles."""
    llava = with_selection(LlavaNext, "full", monkeypatch)
    (clip,), media = make(llava, "square")
    inputs = llava.preprocess([clip], media, ["What is it?"])
    seen = llava.forward(inputs, ["llm.layer_02", "llm.final_norm@last_query"])
    visual = int((inputs["input_ids"] == llava.config.image_token_id).sum())
    assert visual == 1 + 25 + 1
    with torch.no_grad():
        states = llava.model.model.vision_tower(inputs["pixel_values"], output_hidden_states=True).hidden_states[-2]
        projected = llava.model.model.multi_modal_projector(states)
        newline, sizes = llava.model.model.image_newline, torch.tensor([[70, 70]])
        packed = llava.model.model.pack_image_features([projected], sizes, "full", newline)[0][0]
        embedded = llava.model.model.language_model.embed_tokens(inputs["input_ids"])
        embedded[0, inputs["input_ids"][0] == llava.config.image_token_id] = packed
        states = llava.model.model.language_model(inputs_embeds=embedded, output_hidden_states=True).hidden_states
    at = (inputs["input_ids"][0] == llava.config.image_token_id).nonzero()[1:-1, 0]
    assert_close(seen["llm.layer_02"][0], states[2][0, at], rtol=1e-3, atol=1e-3)
    assert_close(seen["llm.final_norm@last_query"][0], states[-1][0, -1:], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("family", "strategy", "tower", "usable"),
    [
        (InternVL, "full", None, "'default'"),  # its pixel shuffle needs a square of patches
        (LlavaOnevision, "default", None, "'full'"),  # which would drop the first patch
        (LlavaNext, "default", "siglip_vision_model", "'full'"),
        (LlavaOnevision, "full", "clip_vision_model", "'default'"),  # frames of a clip are pooled
    ],
)
def test_a_selection_that_would_shift_patches_is_refused(
    family: Any, strategy: str, tower: str | None, usable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=rf"selects the features '{strategy}' .* where {usable} is supported$"):
        with_selection(family, strategy, monkeypatch, tower)


# A model whose code has changed: one token too many, one too few, at whatever tap.


def with_a_token_more(hidden: torch.Tensor) -> torch.Tensor:
    return torch.cat([hidden, hidden[..., -1:, :]], dim=-2)


def with_a_token_less(hidden: torch.Tensor) -> torch.Tensor:
    return hidden[..., :-1, :]


TAPS = ("vit.block_02", "vit.pre_merge", "vit.post_merge")


@pytest.mark.parametrize("readout", ["tokens", "mean"])
@pytest.mark.parametrize("change", [with_a_token_more, with_a_token_less])
def test_a_token_too_many_or_too_few_is_an_error_at_every_tap(
    encoder: Encoder, change: Callable[..., torch.Tensor], readout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, media = make(encoder, "three of a size")
    for tap in set(TAPS) & {tap.name for tap in encoder.taps}:
        correct = type(encoder).raster_tokens

        def other(self: Encoder, tap: Tap, hidden: torch.Tensor, inputs: Any, correct: Any = correct) -> Any:
            return correct(self, tap, change(hidden), inputs)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(type(encoder), "raster_tokens", other)
            with pytest.raises(FeatureError, match=rf"^{tap} has \d+ (visual )?tokens for .* expected (the )?\d+"):
                encoder.forward(encoder.preprocess(clips, media), [f"{tap}@{readout}" if readout != "tokens" else tap])


def test_a_prompt_with_more_or_fewer_places_is_an_error(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    if not encoder.takes_prompt:
        return
    clips, media = make(encoder, "three of a size")
    correct = type(encoder).prompt_inputs  # type: ignore[attr-defined]
    for change in (1, -1):

        def other(self: Any, *arguments: Any, change: int = change) -> Any:
            inputs = correct(self, *arguments)
            ids = inputs["input_ids"]
            place = int(self.is_visual(ids[1:2])[0].int().argmax())
            ids[1, place if change < 0 else place - 1] = 0 if change < 0 else int(ids[1, place])
            return inputs

        with monkeypatch.context() as patched:
            patched.setattr(type(encoder), "prompt_inputs", other)
            with pytest.raises(ModelError, match=r"prompt to number 2 of 3 inputs has \d+ visual tokens, expected"):
                encoder.preprocess(clips, media)


def test_features_that_are_too_many_never_reach_the_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault of old: one place too few for each image's tokens, so that the next one begins with what was left."""
    for family in (LlavaNext, LlavaOnevision, InternVL):
        encoder = family.load(f"tiny:{family.family}", FLOAT)
        correct = family.visual_features
        with monkeypatch.context() as patched:
            patched.setattr(
                family, "visual_features", lambda *given, correct=correct: with_a_token_more(correct(*given))
            )
            with pytest.raises(FeatureError, match="what enters the language model has"):
                tokens(encoder, *make(encoder, "three of a size"), "llm.embed")


def test_frames_of_a_tower_are_counted() -> None:
    tap = Tap(name="vit.block_01", module="", side="output", level="patch", width=2)
    with pytest.raises(ForesightError, match="counted in frames"):
        Tower.raster_tokens(tap, torch.zeros(3, 4, 2), [1, 1])


@pytest.mark.parametrize(
    ("family", "size", "seen"),
    [("siglip", (118, 118), (112, 112)), ("llava_onevision", (76, 76), (70, 70)), ("clip", (112, 112), (112, 112))],
)
def test_what_lies_outside_the_seen_pixels_changes_nothing(family: str, size: Any, seen: Any) -> None:
    encoder = encoders.load(f"tiny:{family}", FLOAT)
    assert encoder.seen_size(*size) == seen
    assert encoder.seen_size(*encoder.nearest_size(*size))[0] <= size[0]
    clip = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    outside, inside = clip.copy(), clip.copy()
    outside[:, seen[0] :], outside[:, :, seen[1] :] = 0, 0
    inside[:, seen[0] - 1, seen[1] - 1] ^= 255
    plain, other, changed = (
        tokens(encoder, [each], "image", "vit.block_01")["vit.block_01"][0] for each in (clip, outside, inside)
    )
    assert torch.equal(plain, other)
    assert not torch.equal(plain, changed)
