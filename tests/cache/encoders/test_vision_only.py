"""Vision-only families: sizes, and towers that are loaded out of larger models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import Encoder, LoadOptions
from foresight_cache.errors import UsageError
from tests.support.order_proofs import make, tokens
from tests.support.references import vision

FLOAT = LoadOptions(dtype="float32", device="cpu")


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((112, 112), (112, 112)),  # 64 patches, as trained
        ((480, 640), (84, 126)),  # 34.3 × 45.7 patches, times √(64 / 1567), rounded down
        ((100, 100), (112, 112)),  # in whole patches
        ((84, 70), (84, 70)),
        ((14, 14), (56, 56)),  # a quarter of the patches at least
        ((40, 56), (56, 70)),  # 2.9 × 4 patches, times √(16 / 11.4), rounded up
        ((30, 3000), (14, 896)),  # a strip keeps one patch across
    ],
)
def test_native_sizes_worked_by_hand(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert encoders.describe("tiny:dinov2", FLOAT).native_size(*size) == resized


def test_a_trained_size_that_is_no_multiple_of_the_patch() -> None:
    siglip = encoders.load("tiny:siglip", FLOAT)
    assert siglip.grid("patch", 1, 118, 118).tokens == 64
    assert siglip.native_size(118, 118) == (118, 118)
    with pytest.raises(UsageError, match="multiples of 14 pixels"):
        siglip.grid("patch", 1, 118, 112)


WHOLE = {
    "clip": ("CLIPConfig", "CLIPModel"),
    "siglip": ("SiglipConfig", "SiglipModel"),
    "siglip2": ("Siglip2Config", "Siglip2Model"),
    "owlvit": ("OwlViTConfig", "OwlViTForObjectDetection"),
}


@pytest.mark.parametrize("family", WHOLE)
def test_the_tower_of_a_whole_model(family: str, tmp_path: Path) -> None:
    """Text towers and heads are in the files of published models; the vision tower gives the same without them."""
    import transformers

    tower: Any = encoders.load(f"tiny:{family}", FLOAT)
    config_class, model_class = (getattr(transformers, name) for name in WHOLE[family])
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    large = {**tower.config.to_dict(), "projection_dim": 32}
    torch.manual_seed(0)
    whole = model_class(config_class(vision_config=large, text_config=small, projection_dim=32)).eval()
    whole.save_pretrained(tmp_path)
    tower.processor.save_pretrained(tmp_path)
    loaded: Encoder = encoders.load(str(tmp_path), FLOAT)
    assert loaded.family == family
    clips, media = make(loaded, "square")
    captured = tokens(loaded, clips, media, "vit.block_03")["vit.block_03"][0]
    inside = next(module for name, module in whole.named_modules() if name.endswith("vision_model"))
    with torch.no_grad():
        states = vision.run(inside, tower.processor, family, clips[0][0]).hidden_states
    assert_close(captured, states[3][0, -len(captured) :], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("published", [True, False])
def test_dinov3_has_its_layer_scales_under_both_names_of_its_files(published: bool, tmp_path: Path) -> None:
    """Published files call blocks `layer.N`, transformers `model.layer.N`; scales that were lost would stay at one."""
    tiny: Any = encoders.load("tiny:dinov3_vit", FLOAT)
    with torch.no_grad():
        for scale in (value for name, value in tiny.model.named_parameters() if "lambda" in name):
            scale.uniform_(0.5, 1.5)
    tiny.model.save_pretrained(tmp_path)
    tiny.processor.save_pretrained(tmp_path)
    if published:
        stored = load_file(tmp_path / "model.safetensors")
        renamed = {name.replace("model.layer.", "layer."): value for name, value in stored.items()}
        save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    clips, media = make(tiny, "square")
    for taps in (["vit.block_02"], ["vit.final_norm"]):
        loaded = encoders.load(str(tmp_path), FLOAT, taps)
        assert_close(tokens(loaded, clips, media, *taps), tokens(tiny, clips, media, *taps), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (100, 100), (128, 128), (30, 3000), (17, 900), (400, 31)])
def test_native_sizes_of_siglip2_are_its_own_processors(size: tuple[int, int]) -> None:
    siglip2: Any = encoders.load("tiny:siglip2", FLOAT)
    prepared = siglip2.processor(np.zeros((*size, 3), np.uint8), return_tensors="pt")
    height, width = siglip2.native_size(*size)
    assert [height // 16, width // 16] == prepared["spatial_shapes"][0].tolist()


def test_more_patches_are_another_fingerprint() -> None:
    siglip2: Any = encoders.load("tiny:siglip2", FLOAT)
    before = siglip2.identity()
    siglip2.processor.max_num_patches = 100
    assert siglip2.identity() != before


def test_a_detector_trained_at_sizes_that_are_no_square() -> None:
    yolos = encoders.load("tiny:yolos", FLOAT)
    assert yolos.native_size(96, 128) == (96, 128)
    assert yolos.native_size(960, 1280) == (96, 128)  # 60 × 80 patches, times √(48 / 4800)
    assert yolos.native_size(1280, 960) == (128, 96)
    assert (yolos.max_pixels, yolos.max_tokens("patch", 2)) == (96 * 128, 2 * 6 * 8)
