"""Gemma 3 with images: a SigLIP tower, a pool and projection to fewer tokens, and a language model.

The tokens of an image attend to each other in both directions, and to nothing that comes after the image, so that what
follows can be left out as for causal models. The projector pools squares of patches (of the published models 4×4 of
64×64 patches, to 16×16 tokens), which stay in raster order. `vit.pre_merge` is what enters it: the output of the tower
after its final norm. Crops of long images (pan and scan) are not taken, as the model's processor has them off.
"""

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.single_view import SiglipViewEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.errors import ModelError
from foresight_cache.samples import Media


class Family(SiglipViewEncoder):
    """Gemma 3, of the sizes that take images."""

    family = "gemma3"
    model_class = "Gemma3ForConditionalGeneration"
    processor_class = "Gemma3Processor"
    sizes = "the tower's, such as 896"

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        """Raises `ModelError` for a language model without causal order, which the published ones are not."""
        if config.text_config.use_bidirectional_attention:
            raise ModelError(
                "this gemma3 has use_bidirectional_attention, so that visual tokens see the text after them, "
                "which is not supported; take a model whose text_config has it off"
            )
        return super().taps_of(config)

    def visual_ids(self) -> set[int]:
        return {int(self.config.image_token_id)}

    def placeholder_id(self, media: Media) -> int:  # noqa: ARG002 - there are only images
        return int(self.processor.image_token_id)

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:  # noqa: ARG002 - there are only images
        processor, tokenizer = self.processor, self.processor.tokenizer
        tokens = tokenizer.image_token * self.merged_grid_side(1) ** 2
        return processor.image_token, f"\n\n{tokenizer.boi_token}{tokens}{tokenizer.eoi_token}\n\n"

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - there are only images
        return isqrt(self.config.mm_tokens_per_image)

    def token_types(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"token_type_ids": self.is_visual(inputs["input_ids"]).long()}

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for images of 112 px: 8×8 patches, 4×4 tokens, and one layer of full attention among four."""
        marks = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
        tokenizer = tiny_models.gemma_tokenizer("<|im_start|>", "<|im_end|>", *marks.values(), named=marks)
        config = make(
            "Gemma3Config",
            vision_config={
                **{"model_type": "siglip_vision_model", "vision_use_head": False},
                **tiny_models.tower_config(),
                **{"image_size": 112, "patch_size": 14},
            },
            text_config={
                **tiny_models.gemma_language_config(tokenizer),
                **{"sliding_window": 64, "sliding_window_pattern": 3, "query_pre_attn_scalar": 48},
            },
            mm_tokens_per_image=16,
            **{f"{name}_index": tokenizer.convert_tokens_to_ids(token) for name, token in marks.items()},
        )
        processor = make(
            "Gemma3Processor",
            image_processor=make("Gemma3ImageProcessor", size={"height": 112, "width": 112}),
            tokenizer=tokenizer,
            image_seq_length=16,
            chat_template="<bos>" + tiny_models.chat_template(image="<start_of_image>"),
        )
        return config, processor
