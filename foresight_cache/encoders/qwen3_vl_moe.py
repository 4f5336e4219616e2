"""Qwen3-VL with a mixture of experts in its language model; the tower, DeepStack and the prompt are Qwen3-VL's.

`llm.layer_KK` is what the layer returns, the sum over the experts that its router chose among it. A router's choice can
turn on the last bit of a number, so that a token of a large batch may differ from the same token alone by more than
rounding.
"""

from typing import Any

from foresight_cache.encoders import qwen3_vl
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(qwen3_vl.Family):
    """Qwen3-VL with experts."""

    family = "qwen3_vl_moe"
    model_class = "Qwen3VLMoeForConditionalGeneration"

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes the tiny Qwen3-VL with four experts in every second layer, of which two are chosen for a token."""
        plain, processor = super().tiny()
        tokenizer = processor.tokenizer
        config = make(
            "Qwen3VLMoeConfig",
            vision_config={
                name: value for name, value in plain.vision_config.to_dict().items() if name != "model_type"
            },
            text_config={
                **tiny_models.qwen_language_config(tokenizer),
                **{
                    "head_dim": 32,
                    "num_experts": 4,
                    "num_experts_per_tok": 2,
                    "moe_intermediate_size": 64,
                    "decoder_sparse_step": 2,
                },
            },
            **tiny_models.qwen_token_ids(tokenizer),
        )
        return config, processor
