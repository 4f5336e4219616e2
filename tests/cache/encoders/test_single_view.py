"""Families of one view and no tiles: grids of the published sizes, class tokens, and what sees what."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.gemma3 import Family as Gemma3
from foresight_cache.encoders.llava import Family as Llava
from foresight_cache.encoders.molmo2 import Family as Molmo2
from foresight_cache.encoders.paligemma import Family as PaliGemma
from foresight_cache.encoders.smolvlm import Family as SmolVLM
from foresight_cache.encoders.weights.tiny_models import make as make_config
from foresight_cache.errors import ModelError, UsageError
from foresight_cache.samples import Grid
from tests.support.order_proofs import make
from tests.support.references import single_view

FLOAT = LoadOptions(dtype="float32", device="cpu")
SIGLIP = {"model_type": "siglip_vision_model", "patch_size": 14, "hidden_size": 1152}


@pytest.mark.parametrize(
    ("config_class", "settings", "size", "patches", "merged"),
    [
        ("LlavaConfig", {}, 336, 24, 24),
        ("PaliGemmaConfig", {"vision_config": {**SIGLIP, "image_size": 224}}, 224, 16, 16),
        ("PaliGemmaConfig", {"vision_config": {**SIGLIP, "image_size": 448}}, 448, 32, 32),
        ("PaliGemmaConfig", {"vision_config": {**SIGLIP, "image_size": 896}}, 896, 64, 64),
        ("Gemma3Config", {"vision_config": {**SIGLIP, "image_size": 896}}, 896, 64, 16),
        ("Molmo2Config", {}, 378, 27, 14),
        ("SmolVLMConfig", {"vision_config": {"image_size": 512, "patch_size": 16}, "scale_factor": 4}, 512, 32, 8),
        ("SmolVLMConfig", {"vision_config": {"image_size": 384, "patch_size": 14}, "scale_factor": 3}, 384, 27, 9),
    ],
)
def test_grids_of_the_published_sizes(
    config_class: str, settings: dict[str, Any], size: int, patches: int, merged: int, tmp_path: Path
) -> None:
    make_config(config_class, **settings).save_pretrained(tmp_path)
    encoder = encoders.describe(str(tmp_path), FLOAT)
    assert encoder.native_size(480, 640) == (size, size)
    assert encoder.grid("patch", 1, size, size) == Grid(1, patches, patches)
    assert encoder.grid("merged", 1, size, size) == Grid(1, merged, merged)
    with pytest.raises(UsageError, match=f"no other size; use --size {size}$"):
        encoder.grid("patch", 1, size, size + 14)


def test_the_class_token_of_llava_goes_before_its_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's own pass over its own processor's prompt, which has a place more for each image."""
    config, processor = Llava.tiny()
    config.vision_feature_select_strategy = processor.vision_feature_select_strategy = "full"
    monkeypatch.setattr(Llava, "tiny", lambda: (config, processor))
    encoder: Any = Llava.load("tiny:llava", FLOAT)
    clips, media = make(encoder, "three of a size")
    points = ["llm.embed", "llm.layer_02", "vit.post_merge@cls", "llm.final_norm@last_query"]
    captured = encoder.forward(encoder.preprocess(clips, media, ["What is it?"] * 3), points)
    for number, clip in enumerate(clips):
        prepared = single_view.inputs(encoder, [clip], media, ["What is it?"])
        with torch.no_grad():
            states = encoder.model(**prepared, output_hidden_states=True, use_cache=False).hidden_states
        visual = (prepared["input_ids"][0] == config.image_token_id).nonzero()[:, 0]
        assert len(visual) == 1 + 25
        assert_close(captured["llm.embed"][number], states[0][0, visual[1:]], rtol=1e-4, atol=1e-4)
        assert_close(captured["llm.layer_02"][number], states[2][0, visual[1:]], rtol=1e-4, atol=1e-4)
        assert_close(captured["vit.post_merge@cls"][number], states[0][0, visual[:1]], rtol=1e-4, atol=1e-4)
        assert_close(captured["llm.final_norm@last_query"][number], states[-1][0, -1:], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("family", "sees_later_tokens"),
    [(Llava, False), (SmolVLM, False), (PaliGemma, True), (Gemma3, True), (Molmo2, True)],
)
def test_tokens_of_an_image_that_see_what_comes_later_in_it(family: Any, sees_later_tokens: bool) -> None:
    """The first token of an image after one layer, where only its last token, after the tower, is another one."""
    encoder: Any = family.load(f"tiny:{family.family}", FLOAT)
    inputs = encoder.preprocess(*make(encoder, "square"))
    before = encoder.forward(inputs, ["llm.layer_01"])["llm.layer_01"][0]
    after = with_another_last_token(encoder, inputs)
    assert bool((after[0] - before[0]).abs().max() > 1e-3) is sees_later_tokens


def with_another_last_token(encoder: Any, inputs: Any) -> torch.Tensor:
    """Returns the first layer's visual tokens where the last one that enters it has changed its sign."""
    visual = encoder.is_visual(inputs["input_ids"])[0].nonzero()[:, 0]

    def change(_module: Any, arguments: Any, named: Any) -> Any:
        hidden = (arguments[0] if arguments else named["hidden_states"]).clone()
        hidden[0, visual[-1]] *= -1
        return ((hidden, *arguments[1:]), named) if arguments else ((), {**named, "hidden_states": hidden})

    layer = encoder.model.model.get_submodule(encoder.language_path).layers[0]
    handle = layer.register_forward_pre_hook(change, with_kwargs=True, prepend=True)
    try:
        return encoder.forward(inputs, ["llm.layer_01"])["llm.layer_01"][0]
    finally:
        handle.remove()


def test_the_prompt_of_paligemma_is_part_of_what_is_measured() -> None:
    plain = encoders.load("tiny:paligemma", FLOAT).identity()
    other = encoders.load("tiny:paligemma", LoadOptions(dtype="float32", device="cpu", prompt="caption en")).identity()
    assert plain["sees_prompt"] is True
    assert plain["prompt_tokens_digest"] != other["prompt_tokens_digest"]


def test_a_smolvlm_that_was_saved_with_its_own_processor(tmp_path: Path) -> None:
    """Which cannot be made without a package for videos, while its files hold all that images need."""
    tiny: Any = encoders.load("tiny:smolvlm", FLOAT)
    tiny.model.save_pretrained(tmp_path)
    single_view.smolvlm_processor(tiny).save_pretrained(tmp_path)
    assert "SmolVLMVideoProcessor" in (tmp_path / "processor_config.json").read_text()
    loaded = encoders.load(str(tmp_path), FLOAT)
    clips, media = make(tiny, "square")
    point = "llm.layer_02@last_query"
    expected, captured = (each.forward(each.preprocess(clips, media, ["So?"]), [point]) for each in (tiny, loaded))
    assert_close(captured[point][0], expected[point][0], rtol=0, atol=0)


@pytest.mark.parametrize("family", [Gemma3, PaliGemma, SmolVLM])
def test_another_tower_is_refused(family: Any) -> None:
    config, _ = family.tiny()
    config.vision_config = make_config("CLIPVisionConfig")
    with pytest.raises(ModelError, match="has a vision tower of type 'clip_vision_model', expected '(siglip|smol)"):
        family.taps_of(config)


def test_a_molmo_that_pools_other_squares_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config, processor = Molmo2.tiny()
    processor.image_processor.pooling_size = [3, 3]
    monkeypatch.setattr(Molmo2, "tiny", lambda: (config, processor))
    with pytest.raises(ModelError, match=r"pools \[3, 3\] patches, expected 2 × 2$"):
        Molmo2.load("tiny:molmo2", FLOAT)


def test_a_gemma_that_looks_ahead_is_refused() -> None:
    config, _ = Gemma3.tiny()
    config.text_config.use_bidirectional_attention = True
    with pytest.raises(ModelError, match="visual tokens see the text after them, which is not supported"):
        Gemma3.taps_of(config)
