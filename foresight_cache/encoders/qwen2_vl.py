"""Qwen2-VL: a vision tower with full attention, a 2×2 merger and a causal language model.

The tower has no windows, so that its tokens stand in merge groups from the first module to the last. `vit.pre_merge`
is what enters the merger: the output of the last block, before the merger's own norm.
"""

from typing import Any

from foresight_cache.encoders.bases.qwen_base import QwenEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(QwenEncoder):
    """Qwen2-VL."""

    family = "qwen2_vl"
    model_class = "Qwen2VLForConditionalGeneration"
    counts_operations = True
    processor_class = "Qwen2VLProcessor"

    @staticmethod
    def vision_widths(config: Any) -> tuple[int, int]:
        return config.vision_config.embed_dim, config.vision_config.hidden_size

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        tokenizer = tiny_models.byte_tokenizer()
        config = make(
            "Qwen2VLConfig",
            vision_config={"depth": 4, "embed_dim": 64, "num_heads": 4, "hidden_size": 128, "mlp_ratio": 2},
            text_config=tiny_models.qwen_language_config(tokenizer),
            **tiny_models.qwen_token_ids(tokenizer),
        )
        return config, tiny_models.qwen_processor(cls.processor_class, tokenizer)
