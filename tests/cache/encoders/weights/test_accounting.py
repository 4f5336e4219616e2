"""Every tensor of a checkpoint is used, left out by a named rule, or refused by name; so is every one of the model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.errors import ModelError

FLOAT = LoadOptions(dtype="float32", device="cpu")
LAYER = "model.language_model.layers.0"
Tensors = dict[str, torch.Tensor]


def rewrite(path: Path, change: Callable[[Tensors], None]) -> None:
    tensors = load_file(path / "model.safetensors")
    change(tensors)
    save_file(tensors, path / "model.safetensors", {"format": "pt"})


def refusal(path: Path, taps: list[str] | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        encoders.load(str(path), FLOAT, taps)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def scaled(tensors: Tensors, kind: torch.dtype, suffix: str) -> None:
    """Writes matrices of one layer as products of small numbers and a scale, as quantised checkpoints have them."""
    for name in [name for name in tensors if name.startswith(LAYER) and tensors[name].ndim == 2]:
        scale = tensors[name].abs().max() / 127
        tensors[name] = (tensors[name] / scale).round().to(kind)
        tensors[name.removesuffix("weight") + suffix] = scale.reshape(1)


@pytest.mark.parametrize("suffix", ["weight_scale_inv", "weight_scale", "SCB"])
def test_scales_of_weights_are_not_dropped(copy: Path, suffix: str) -> None:
    rewrite(copy, lambda tensors: scaled(tensors, torch.float8_e4m3fn, suffix))
    said = refusal(copy, ["llm.layer_01"])
    assert re.search(
        rf"7 tensors of the weights .* are no part of Qwen2_5_VL\w+, such as {LAYER}\.\S*{suffix} \(1 ", said
    )
    assert "they belong to quantised numbers" in said


def test_whole_numbers_are_no_weights(copy: Path) -> None:
    """Without their scales, int8 matrices load as they are, a hundred times too large."""

    def without_scales(tensors: Tensors) -> None:
        scaled(tensors, torch.int8, "SCB")
        for name in [name for name in tensors if name.endswith("SCB")]:
            del tensors[name]

    rewrite(copy, without_scales)
    assert re.search(r"7 tensors .* whole numbers, such as \S+down_proj\.weight \(128 × 256 of I8\)", refusal(copy))


def test_tensors_of_an_adapter_that_was_saved_with_the_weights(copy: Path) -> None:
    def add(tensors: Tensors) -> None:
        tensors[f"{LAYER}.self_attn.q_proj.lora_A.default.weight"] = torch.ones(8, 128)
        tensors[f"{LAYER}.self_attn.q_proj.lora_B.default.weight"] = torch.ones(128, 8)

    rewrite(copy, add)
    said = refusal(copy)
    assert "2 tensors" in said
    assert "lora_A.default.weight (8 × 128 there, absent from the model)" in said
    assert "merge_and_unload()" in said


def test_a_trained_tower_under_another_name(copy: Path) -> None:
    def add(tensors: Tensors) -> None:
        tensors |= {
            name.replace("visual", "tuned_visual"): t.clone() for name, t in tensors.items() if "visual" in name
        }

    rewrite(copy, add)
    assert "trained part under another name" in refusal(copy, ["vit.block_02"])


def test_tensors_of_parts_that_no_tap_needs_are_left_out(copy: Path) -> None:
    """The language model is damaged, a tower does not need it; with it the same files are refused."""
    rewrite(copy, lambda tensors: scaled(tensors, torch.float8_e4m3fn, "weight_scale"))
    assert isinstance(encoders.load(str(copy), FLOAT, ["vit.post_merge"]), Encoder)
    assert "weight_scale" in refusal(copy, ["llm.embed", "llm.layer_01"])


def test_constants_of_older_versions_are_left_out(copy: Path) -> None:
    def add(tensors: Tensors) -> None:
        tensors["model.language_model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)
        tensors["visual.rotary_pos_emb.inv_freq"] = torch.ones(8)

    rewrite(copy, add)
    encoders.load(str(copy), FLOAT, ["llm.layer_01"])


def test_a_missing_tensor_is_named_with_its_shape(copy: Path) -> None:
    rewrite(copy, lambda tensors: tensors.pop(f"{LAYER}.mlp.down_proj.weight"))
    assert f"lack 1 tensor of Qwen2_5_VLForConditionalGeneration, such as {LAYER}.mlp.down_proj.weight (128 × 256" in (
        refusal(copy)
    )


@pytest.mark.parametrize(
    ("section", "field", "value", "told"),
    [
        ("text_config", "intermediate_size", 96, r"down_proj\.weight is 128 × 256 there and 128 × 96 .* \(12 tensors"),
        ("text_config", "vocab_size", 300, r"embed_tokens\.weight is 270 × 128 there and 300 × 128 .* \(1 tensor in"),
        (
            "vision_config",
            "patch_size",
            16,
            r"patch_embed\.proj\.weight is 64 × 3 × 2 × 14 × 14 there and .* × 16 × 16",
        ),
    ],
)
def test_shapes_that_the_configuration_does_not_have(
    copy: Path, section: str, field: str, value: int, told: str
) -> None:
    config = json.loads((copy / "config.json").read_text())
    config[section][field] = value
    (copy / "config.json").write_text(json.dumps(config))
    assert re.search(rf"do not fit its config\.json: \S+{told}", refusal(copy, ["llm.layer_04"]))


def vision(**others: Any) -> dict[str, Any]:
    return {**tiny_models.tower_config(), "image_size": 56, "patch_size": 14, **others}


TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT |= {"vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2}
WHOLE = {
    "clip": ("CLIPModel", "CLIPConfig", "CLIPImageProcessor"),
    "siglip": ("SiglipModel", "SiglipConfig", "SiglipImageProcessor"),
    "owlvit": ("OwlViTForObjectDetection", "OwlViTConfig", "OwlViTImageProcessor"),
}


@pytest.mark.parametrize("family", WHOLE)
def test_text_towers_and_heads_of_whole_models_are_left_out_by_rule(family: str, tmp_path: Path) -> None:
    model_class, config_class, processor_class = WHOLE[family]
    whole = make(model_class, config=make(config_class, text_config=TEXT, vision_config=vision()))
    whole.save_pretrained(tmp_path)
    make(processor_class).save_pretrained(tmp_path)
    encoder: Any = encoders.load(str(tmp_path), FLOAT)
    held = dict(whole.named_parameters())
    for name, parameter in encoder.model.named_parameters():
        (source,) = [other for other in held if other.endswith(f"vision_model.{name.removeprefix('vision_model.')}")]
        assert_close(parameter, held[source], check_device=False, rtol=0, atol=0)
    rewrite(tmp_path, lambda tensors: tensors.update({"vision_model.encoder.layers.0.gate": torch.ones(3)}))
    assert "1 tensor of the weights" in refusal(tmp_path)


def test_heads_of_other_tasks_are_left_out_by_rule(tmp_path: Path) -> None:
    make("Dinov2ForImageClassification", config=make("Dinov2Config", **vision())).save_pretrained(tmp_path)
    make("BitImageProcessor").save_pretrained(tmp_path)
    encoders.load(str(tmp_path), FLOAT)
    rewrite(tmp_path, lambda tensors: tensors.update({"adapter_blocks.0.weight": torch.ones(3, 3)}))
    assert "adapter_blocks.0.weight (3 × 3 there, absent from the model)" in refusal(tmp_path)
