"""Small models of real architectures: a tokenizer of the real kind, and seeded random weights.

They exercise everything that the real models do (window and full attention, grouped-query attention, three-part
rotary positions, a byte-level tokenizer with a chat template), so that all else can be tried without a download.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

SEED = 0
"""Random seed of all weights here; `tiny:` models are the same everywhere."""
SEED_FIELD = "random_weights_seed"
"""Field of a model's configuration which says that its weights were never trained; survives `save_pretrained`."""

_QWEN_SPECIAL_TOKENS = tuple(
    f"<|{name}|>"
    for name in (
        *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end"),
        *("quad_start", "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"),
    )
)
"""Qwen's special tokens in Qwen's order; ids count on from the 256 bytes."""

_CHAT_TEMPLATE = """\
{%- if messages and messages[0].role != 'system' -%}
<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' -%}IMAGE
{%- elif part.type == 'video' -%}VIDEO
{%- elif part.type == 'text' -%}{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
"""One turn after another, each between <|im_start|> and <|im_end|>; media are placeholders, a default system turn."""


def make(class_name: str, **settings: Any) -> Any:
    """Makes an instance of a class of transformers; their annotations do not fit what they take."""
    import transformers

    return getattr(transformers, class_name)(**settings)


def chat_template(
    *,
    image: str = "<|vision_start|><|image_pad|><|vision_end|>",
    video: str = "<|vision_start|><|video_pad|><|vision_end|>",
) -> str:
    """Returns a chat template with these placeholders for media."""
    return _CHAT_TEMPLATE.replace("IMAGE", image).replace("VIDEO", video)


def byte_tokenizer(*others: str, named: Mapping[str, str] | None = None) -> Any:
    """Makes a `Qwen2Tokenizer`: the real class with one token per byte, the real special tokens, then `others`.

    `named` are special tokens that are attributes of the tokenizer as well.

    >>> tokenizer = byte_tokenizer()
    >>> tokenizer("<|im_start|>Hi")["input_ids"]
    [257, 39, 72]
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    vocabulary = {
        token: number for number, token in enumerate([*sorted(ByteLevel.alphabet()), *_QWEN_SPECIAL_TOKENS, *others])
    }
    return Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[],
        additional_special_tokens=[*_QWEN_SPECIAL_TOKENS[1:], *others],
        model_max_length=32768,
        **dict(named or {}),
    )


def gemma_tokenizer(*others: str, named: Mapping[str, str] | None = None) -> Any:
    """Makes a `GemmaTokenizer`: the real class with one token per byte, its special tokens, then `others`.

    `named` are special tokens that are attributes of the tokenizer as well.

    >>> tokenizer = gemma_tokenizer("<start_of_turn>")
    >>> tokenizer("<bos><start_of_turn>Hi")["input_ids"]
    [2, 262, 77, 110]
    """
    from transformers import GemmaTokenizer

    own = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    tokens = [*own, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *others]  # which stands for a space
    return GemmaTokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[],
        additional_special_tokens=list(others),
        model_max_length=32768,
        **dict(named or {}),
    )


def gemma_language_config(tokenizer: Any) -> dict[str, Any]:
    """Returns the settings of a Gemma, whose heads have a width of their own."""
    own = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    return {**language_config(tokenizer), **own, "head_dim": 48}


def language_config(tokenizer: Any) -> dict[str, Any]:
    """Returns the settings of a language model with grouped-query attention."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "bos_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
    }


def qwen_language_config(tokenizer: Any) -> dict[str, Any]:
    """Returns the settings of a language model that has three-part rotary positions as well."""
    # Half of the head's 32 channels, divided as the 16 + 24 + 24 of the published models are.
    return {
        **language_config(tokenizer),
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
    }


def qwen_token_ids(tokenizer: Any) -> dict[str, int]:
    """Returns the special token ids of a configuration."""
    names = {
        "image_token_id": "image_pad",
        "video_token_id": "video_pad",
        "vision_start_token_id": "vision_start",
        "vision_end_token_id": "vision_end",
    }
    return {field: int(tokenizer.convert_tokens_to_ids(f"<|{name}|>")) for field, name in names.items()}


def qwen_processor(
    processor_class: str, tokenizer: Any, *, video: str = "Qwen2VLVideoProcessor", patch_size: int = 14
) -> Any:
    """Makes a processor of one of Qwen's classes, with its own settings but for the size of patches."""
    return make(
        processor_class,
        image_processor=make("Qwen2VLImageProcessor", patch_size=patch_size),
        video_processor=make(video, patch_size=patch_size),
        tokenizer=tokenizer,
        chat_template=chat_template(),
    )


def mark_random(config: Any, seed: int) -> None:
    """Writes into a model's configuration that its weights are random, and their seed."""
    config.update({SEED_FIELD: seed})


def seed_of(config: Any) -> int | None:
    """Returns the seed of a model's random weights; None for a model that was trained."""
    seed: int | None = config.to_dict().get(SEED_FIELD)
    return seed


def tower_config() -> dict[str, int]:
    """Returns the settings of a vision tower of four blocks."""
    return {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}


RECIPE = "normal by name, unit variance, 1"
"""Name of the rule of `randomise`, for digests; to be changed together with it."""


_INPUT_AXES = {"gate_up_proj": 2, "down_proj": 2, "mm_input_projection_weight": 0}
"""Axis of the inputs in linear maps that are no modules of their own, by name: experts, and Gemma's projector."""


def randomise(model: nn.Module, seed: int) -> None:
    """Draws all weights anew so that features keep their scale and stay distinct through any depth.

    The usual 0.02 would leave small models almost linear: each block would add next to nothing. Here every
    layer maps inputs of unit variance to outputs of unit variance. Norms keep their ones. Each weight has random
    numbers of its own, drawn by its name, so that a part of a model has the same weights as the whole.
    """
    with torch.no_grad():
        for path, module in model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                deviation = _deviation(module, name)
                if deviation is None:
                    continue
                key = hashlib.sha256(f"{seed} {path}.{name}".encode()).digest()
                generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little"))
                # In float32 whatever the model's number type, so that all types have the same weights, rounded.
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)


def _deviation(module: nn.Module, name: str) -> float | None:
    """Returns the standard deviation of a new weight, or None where it stays as it is."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
        return 0.1 if name == "bias" else float(module.weight[0].numel() ** -0.5)
    if name in _INPUT_AXES:
        return float(module.get_parameter(name).shape[_INPUT_AXES[name]] ** -0.5)
    is_scale = "norm" in type(module).__name__.lower() or name.startswith("lambda")
    return None if is_scale else 0.5  # embeddings of tokens, of positions, of the class
