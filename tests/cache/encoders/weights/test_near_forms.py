"""Models near a family are told what to take instead; older files of a family load as transformers loads them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.testing import assert_close

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights import loading, near_forms
from foresight_cache.errors import ModelError, UnknownName

FLOAT = LoadOptions(dtype="float32", device="cpu")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("internvl_chat", "such as OpenGVLab/InternVL3-8B-hf"),
        ("llava_llama", "by llava-hf, such as llava-hf/"),
        ("llava_qwen", "such as llava-hf/llava-onevision-qwen2-7b-ov-hf"),
        ("qwen2_5_omni", "such as Qwen/Qwen2.5-VL-7B-Instruct"),
        ("qwen2_5_vl_text", "it is the language model alone; take the whole model"),
        ("clip_text_model", "it is the text tower alone"),
        ("owlv2", "such as google/owlvit-base-patch32"),
        ("AutoencoderKLWan", "take the VAE of LTX-Video (AutoencoderKLLTXVideo), such as Lightricks/LTX-Video/vae"),
    ],
)
def test_a_near_type_is_named_with_what_to_take(tmp_path: Path, kind: str, told: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    for model in (str(tmp_path), f"random:{tmp_path}"):
        with pytest.raises(ModelError) as caught:
            encoders.describe(model, FLOAT)
        said = str(caught.value)
        assert said.startswith(f"model {str(tmp_path)!r} is of the type {kind!r}, which is not supported; ")
        assert told in said
        assert "\n" not in said


def test_no_advice_stands_in_the_way_of_a_family() -> None:
    for family in encoders.names():
        assert near_forms.advice(family, encoders.names()) is None
    with pytest.raises(UnknownName):
        encoders.load("tiny:internvl_chat", FLOAT)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "config.json",
            {"architecture": "vit_base_patch14_dinov2", "num_classes": 0},
            r"of timm \(vit_base_patch14_din",
        ),
        ("open_clip_config.json", {}, "of open_clip; take an edition for transformers"),
        ("model_index.json", {}, "a pipeline of diffusers and not one model"),
        ("params.json", {}, "in the form of its publisher's own program"),
        ("model-Q4_K_M.gguf", {}, r"made for llama\.cpp \(model-Q4_K_M\.gguf\)"),
    ],
)
def test_a_directory_of_another_program(tmp_path: Path, name: str, content: dict[str, Any], told: str) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=f"{tmp_path} is {told}"):
        encoders.load(str(tmp_path), FLOAT)


OLD = ("qwen2_5_vl", "qwen2_vl", "llava_next", "llava_onevision", "internvl")


def older(path: Path, family: str) -> None:
    """Rewrites the files of a processor as they were: one for images, none for clips, a template in JSON."""
    whole = json.loads((path / "processor_config.json").read_text())
    images = whole.pop("image_processor")
    whole.pop("video_processor", None)
    if family.startswith("qwen"):
        size = images.pop("size")
        images |= {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
        (path / "processor_config.json").unlink()
    else:
        (path / "processor_config.json").write_text(json.dumps(whole))
    images["processor_class"] = whole["processor_class"]
    (path / "preprocessor_config.json").write_text(json.dumps(images))
    template = path / "chat_template.jinja"
    (path / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    template.unlink()


@pytest.mark.parametrize("family", OLD)
def test_older_files_of_a_processor(family: str, tmp_path: Path) -> None:
    """The features are the same, and the settings are those that transformers finds by itself."""
    from transformers import AutoProcessor

    new: Any = encoders.load(f"tiny:{family}", FLOAT)
    new.model.save_pretrained(tmp_path)
    new.processor.save_pretrained(tmp_path)
    older(tmp_path, family)
    old: Any = encoders.load(str(tmp_path), FLOAT)
    height, width = new.nearest_size(56, 84)
    picture = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    features = [each.forward(each.preprocess([picture], "image"), ["llm.layer_02"]) for each in (new, old)]
    assert_close(features[1], features[0], rtol=0, atol=0)
    assert old.native_size(300, 500) == new.native_size(300, 500)
    identities = new.identity(), old.identity()
    assert identities[0]["image_processor"] == identities[1]["image_processor"]
    assert identities[0]["chat_template_digest"] == identities[1]["chat_template_digest"]
    if "clip" in new.media:
        by_hand: Any = AutoProcessor.from_pretrained(tmp_path)
        settings = loading.processor_settings(by_hand.video_processor, old.pixel_settings)
        assert identities[1]["video_processor"] == settings
