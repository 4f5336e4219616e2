"""PaliGemma: a SigLIP tower, a linear projector and a Gemma that attends over all of the prompt in both directions.

Visual tokens see the words after them, so that the prompt is always run to its end and is part of what is measured.
There is no chat template: the prompt is the images, the begin token, the text and a line break, as the model's own
processor has it. `vit.pre_merge` is what enters the projector: the output of the tower after its final norm.
"""

from collections.abc import Mapping
from typing import Any

import torch

from foresight_cache.encoders.bases.single_view import SiglipViewEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


class Family(SiglipViewEncoder):
    """PaliGemma and PaliGemma 2."""

    family = "paligemma"
    model_class = "PaliGemmaForConditionalGeneration"
    counts_operations = True
    processor_class = "PaliGemmaProcessor"
    sizes = "the tower's, such as 224"
    sees_prompt = True

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:  # noqa: ARG002 - there are only images
        token = self.processor.image_token
        return token, token * self.merged_grid_side(1) ** 2

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - there are only images
        return self._size // self._patch

    def token_types(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"token_type_ids": torch.zeros_like(inputs["input_ids"])}  # all of it is the prefix, none the answer

    def _render_turn(self, media: Media, text: str, count: int) -> str:  # noqa: ARG002 - there are only images
        return f"{self.processor.image_token * count}{self.processor.tokenizer.bos_token}{text}\n"

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for images of 70 px (5×5 patches)."""
        tokenizer = tiny_models.gemma_tokenizer("<image>")
        processor = make(
            "PaliGemmaProcessor",
            image_processor=make("SiglipImageProcessor", size={"height": 70, "width": 70}, image_seq_length=25),
            tokenizer=tokenizer,
        )
        config = make(
            "PaliGemmaConfig",
            vision_config={
                **{"model_type": "siglip_vision_model", "vision_use_head": False},
                **tiny_models.tower_config(),
                **{"image_size": 70, "patch_size": 14},
            },
            # Of the tokenizer with the words for places that the processor adds.
            text_config={"model_type": "gemma", **tiny_models.gemma_language_config(tokenizer)},
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            projection_dim=128,
        )
        return config, processor
