"""LLaVA-OneVision: a SigLIP tower, a projector and a causal language model; images and clips.

`vit.pre_merge` is what enters the projector. The tokens of an image are not merged; those of each frame of a clip are
pooled to half the rows and columns, rounded up, which is `vit.post_merge` of a clip. A clip of one frame is an image.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.llava_base import LlavaEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


class Family(LlavaEncoder):
    """LLaVA-OneVision."""

    family = "llava_onevision"
    model_class = "LlavaOnevisionForConditionalGeneration"
    counts_operations = True
    processor_class = "LlavaOnevisionProcessor"
    sizes = "the tower's, such as 384"
    media = ("image", "clip")

    def media_in_prompt(self, media: Media, frames: int) -> Media:
        return "image" if frames == 1 else media

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:
        token = self.processor.image_token if media == "image" else self.processor.video_token
        return token, token * (frames * self.merged_grid_side(frames) ** 2 + sum(self.around_raster))

    def merged_grid_side(self, frames: int) -> int:
        side = self._size // self._patch
        return side if frames == 1 else ceil(side / 2)

    def language_tokens(self, frames_TND: torch.Tensor) -> torch.Tensor:
        if len(frames_TND) > 1:
            frames_TND = self.tapped_module(self.model).apply_pooling(frames_TND)  # type: ignore[operator]
        return frames_TND.flatten(0, 1)

    def vision_tokens(self, tap: Tap, hidden: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        if tap.name != "vit.post_merge":
            return super().vision_tokens(tap, hidden, inputs)
        return [self.language_tokens(part) for part in torch.split(hidden, self.frame_counts(inputs))]

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for views of 76 px: 5×5 patches and 6 pixels that are left; 3×3 tokens a frame of a clip."""
        tokenizer = tiny_models.byte_tokenizer("<image>", "<video>")
        tiles = [[76, 76], [76, 152], [152, 76], [152, 152]]
        config = make(
            "LlavaOnevisionConfig",
            vision_config={
                **{"model_type": "siglip_vision_model", "vision_use_head": False},
                **tiny_models.tower_config(),
                **{"image_size": 76, "patch_size": 14},
            },
            text_config={"model_type": "qwen2", **tiny_models.language_config(tokenizer)},
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
            image_grid_pinpoints=tiles,
        )
        size = {"height": 76, "width": 76}
        processor = make(
            "LlavaOnevisionProcessor",
            image_processor=make("LlavaOnevisionImageProcessor", size=size, image_grid_pinpoints=tiles),
            video_processor=make("LlavaOnevisionVideoProcessor", size=size),
            tokenizer=tokenizer,
            num_image_tokens=25,
            vision_feature_select_strategy="full",
            chat_template=tiny_models.chat_template(image="<image>", video="<video>"),
        )
        return config, processor
