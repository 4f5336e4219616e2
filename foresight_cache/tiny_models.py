"""Small models of real architectures, with seeded random weights, built in memory in about a second.

They exercise everything that the real models do (window and full attention, grouped-query attention, three-part
rotary positions, a byte-level tokenizer with a chat template), so that all else can be tried without a download.
"""

from typing import Any

import torch
from torch import nn

SEED = 0
"""Random seed of all weights here; `tiny:` models are the same everywhere."""
SEED_FIELD = "random_weights_seed"
"""Field of a model's configuration which says that its weights were never trained; survives `save_pretrained`."""

_SPECIAL = tuple(
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
{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' -%}<|vision_start|><|video_pad|><|vision_end|>
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


def qwen2_5_vl(dtype: torch.dtype) -> tuple[Any, Any]:
    """A `Qwen2_5_VLForConditionalGeneration` on the CPU and its `Qwen2_5_VLProcessor`.

    Attention windows are 112 px (8×8 patches) as in the real model; every second block attends to everything.
    """
    import transformers

    tokenizer = byte_tokenizer()
    with torch.random.fork_rng(devices=[]):  # making the modules draws numbers that are then replaced
        model_class: Any = transformers.Qwen2_5_VLForConditionalGeneration
        model = model_class._from_config(_qwen2_5_vl_config(tokenizer), dtype=dtype)
    randomise(model, SEED)
    processor_class: Any = transformers.Qwen2_5_VLProcessor
    processor = processor_class(
        image_processor=transformers.Qwen2VLImageProcessor(),
        video_processor=transformers.Qwen2VLVideoProcessor(),
        tokenizer=tokenizer,
        chat_template=_CHAT_TEMPLATE,
    )
    return model.eval(), processor


def _qwen2_5_vl_config(tokenizer: Any) -> Any:
    from transformers import Qwen2_5_VLConfig

    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{name}|>"))

    vision = {
        "depth": 8,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "out_hidden_size": 128,
        "fullatt_block_indexes": [1, 3, 5, 7],
        "tokens_per_second": 2,  # of the published models; the class has 4
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "bos_token_id": token("endoftext"),
        "eos_token_id": token("im_end"),
        # Half of the head's 32 channels, divided as the 16 + 24 + 24 of the published models are.
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
    }
    config = Qwen2_5_VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=token("image_pad"),
        video_token_id=token("video_pad"),
        vision_start_token_id=token("vision_start"),
        vision_end_token_id=token("vision_end"),
    )
    setattr(config, SEED_FIELD, SEED)
    return config


def byte_tokenizer() -> Any:
    """A `Qwen2Tokenizer`: the real tokenizer class with one token per byte and the real special tokens.

    >>> tokenizer = byte_tokenizer()
    >>> tokenizer("<|im_start|>Hi")["input_ids"]
    [257, 39, 72]
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    vocabulary = {token: number for number, token in enumerate([*sorted(ByteLevel.alphabet()), *_SPECIAL])}
    return Qwen2Tokenizer(
        vocab=vocabulary, merges=[], additional_special_tokens=list(_SPECIAL[1:]), model_max_length=32768
    )


def randomise(model: nn.Module, seed: int) -> None:
    """Draws all weights anew so that features keep their scale and stay distinct through any depth.

    The usual 0.02 would leave small models almost linear: each block would add next to nothing. Here every
    layer maps inputs of unit variance to outputs of unit variance. Norms keep their ones.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(parameter: torch.Tensor, spread: float) -> None:
        # Drawn in float32 whatever the model's number type, so that all types have the same weights, rounded.
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                draw(module.weight, 0.5)
            elif isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
                draw(module.weight, module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    draw(module.bias, 0.1)
