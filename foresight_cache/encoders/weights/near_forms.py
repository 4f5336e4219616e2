"""Models that are near a family and are none of it: what to take in their place."""

import json
from collections.abc import Collection
from pathlib import Path

_LLAVA = "take the edition for transformers by llava-hf, such as llava-hf/llava-v1.6-vicuna-7b-hf"
_ONEVISION = "take the edition for transformers by llava-hf, such as llava-hf/llava-onevision-qwen2-7b-ov-hf"
_INTERNVL = "take the edition for transformers, whose name ends in -hf, such as OpenGVLab/InternVL3-8B-hf"
_QWEN = "take a vision-language model of Qwen, such as Qwen/Qwen2.5-VL-7B-Instruct"
_VAE = "take the VAE of LTX-Video (AutoencoderKLLTXVideo), such as Lightricks/LTX-Video/vae"
_WHOLE = "it is the language model alone; take the whole model that it is a part of"
_TEXT = "it is the text tower alone; take the whole model that it is a part of"
_VISION = "take a vision tower that is known, such as facebook/dinov2-base"
_CLIP = "take openai/clip-vit-large-patch14 or another of that architecture"
_DETECTOR = "take a detector whose tower is known, such as google/owlvit-base-patch32"

_ADVICE = {
    **dict.fromkeys(("llava_llama", "llava_mistral", "llava", "bakllava", "vipllava", "video_llava"), _LLAVA),
    **dict.fromkeys(("llava_qwen", "llava_qwen2", "llava_next_video"), _ONEVISION),
    **dict.fromkeys(("internvl_chat", "intern_vit_6b", "internlmxcomposer2"), _INTERNVL),
    **dict.fromkeys(
        ("qwen", "qwen2_5_omni", "qwen2_5_omni_thinker", "qwen3_omni_moe", "qwen3_5", "qwen3_5_moe"), _QWEN
    ),
    **dict.fromkeys(
        ("qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text", "qwen2", "qwen3", "llama", "mistral"), _WHOLE
    ),
    **dict.fromkeys(("clip_text_model", "siglip_text_model", "siglip2_text_model", "owlvit_text_model"), _TEXT),
    **dict.fromkeys(("vit", "vit_mae", "vit_msn", "deit", "beit", "data2vec-vision", "ijepa", "dinov3_vit"), _VISION),
    **dict.fromkeys(("dinov3_convnext", "convnext", "swin", "swinv2", "timm_wrapper", "timm_backbone"), _VISION),
    **dict.fromkeys(("chinese_clip", "altclip", "metaclip_2", "eva_clip", "clipseg", "x_clip"), _CLIP),
    "siglip2": "take a SigLIP of the first kind, such as google/siglip-base-patch16-224",
    **dict.fromkeys(
        ("owlv2", "detr", "yolos", "grounding-dino", "mm-grounding-dino", "rt_detr", "omdet-turbo"), _DETECTOR
    ),
    **dict.fromkeys(("qwen3_vl_moe",), "take one without experts, such as Qwen/Qwen3-VL-8B-Instruct"),
    **dict.fromkeys(("paligemma", "gemma3", "gemma3n", "mllama", "idefics2", "idefics3", "smolvlm", "pixtral"), _LLAVA),
    **dict.fromkeys(("mistral3", "phi3_v", "phi4_multimodal", "minicpmv", "molmo", "molmo2", "ovis2", "glm4v"), _LLAVA),
}
"""What to take in place of a model of a type, by that type; of no use where the type has become a family."""

_MARKS = {
    "open_clip_config.json": "of open_clip; take an edition for transformers, such as openai/clip-vit-large-patch14",
    "model_index.json": "a pipeline of diffusers and not one model; name the folder of a model in it",
    "params.json": "in the form of its publisher's own program; take the edition for transformers",
    "mlx_config.json": "made for MLX; take the model that it was made from",
}
"""What a directory without a model's type is, by a file in it."""


def advice(kind: str, families: Collection[str]) -> str | None:
    """Returns what to take in place of a model of this type; None where nothing is near, or it is a family.

    >>> advice("internvl_chat", ["internvl"])
    'take the edition for transformers, whose name ends in -hf, such as OpenGVLab/InternVL3-8B-hf'
    """
    if kind in families:
        return None
    return _VAE if kind.startswith("Autoencoder") else _ADVICE.get(kind)  # a class of diffusers


def what_it_is(path: Path) -> str | None:
    """Returns what a directory without a model's type is, as part of a message; None where that is not known."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    if isinstance(config, dict) and "architecture" in config:
        return f"of timm ({config['architecture']}); take an edition for transformers, such as facebook/dinov2-base"
    if files := sorted(path.glob("*.gguf")):
        return f"made for llama.cpp ({files[0].name}); take the model that it was made from"
    return next((told for name, told in _MARKS.items() if (path / name).exists()), None)
