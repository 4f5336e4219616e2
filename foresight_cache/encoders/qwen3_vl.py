"""Qwen3-VL: full attention, learned positions that are resampled to the grid, and features of some blocks that are
added to the first layers of the language model (DeepStack).

There are no windows; tokens stand in merge groups throughout. `vit.pre_merge` is what enters the last merger, the
output of the last block. `llm.layer_KK` is what the layer returns, as in `output_hidden_states`: DeepStack's features
are added after that, and are part of what enters the next layer. Each temporal step of a clip has a timestamp before
it in the prompt, so that visual tokens are no single run.
"""

from typing import Any

from torch import nn

from foresight_cache.encoders.bases.clip_sizes import ClipBudget
from foresight_cache.encoders.bases.qwen_base import QwenEncoder
from foresight_cache.encoders.weights import loading, tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(QwenEncoder):
    """Qwen3-VL."""

    family = "qwen3_vl"
    model_class = "Qwen3VLForConditionalGeneration"
    processor_class = "Qwen3VLProcessor"
    is_told_times = True
    sizes_of_clips = ClipBudget
    sizes = "multiples of 32; native"

    @classmethod
    def leave_out_untapped(cls, model: nn.Module, deepest: str) -> None:
        super().leave_out_untapped(model, deepest)
        if deepest.startswith("vit."):  # DeepStack is for the language model
            visual: Any = cls.tapped_module(model).get_submodule("visual")
            visual.deepstack_visual_indexes = []
            loading.leave_out(visual, "deepstack_merger_list")

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned on an 8×8 grid and two blocks that feed DeepStack."""
        tokenizer = tiny_models.byte_tokenizer()
        config = make(
            "Qwen3VLConfig",
            vision_config={
                **{"depth": 4, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128},
                **{"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 2]},
            },
            text_config={**tiny_models.qwen_language_config(tokenizer), "head_dim": 32},
            **tiny_models.qwen_token_ids(tokenizer),
        )
        return config, tiny_models.qwen_processor(
            cls.processor_class, tokenizer, video="Qwen3VLVideoProcessor", patch_size=16
        )
