"""LLaVA-NeXT-Video: LLaVA-NeXT for images, and for clips a pool of each frame's patches before the projector.

`vit.pre_merge` is the output of the last block but one (as the configuration says), without the class token, before
any pool. Of a clip the projector has the pooled patches, of half the rows and columns, which is `vit.post_merge`; no
newline follows them. A clip of one frame is an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.llava_base import LlavaEncoder
from foresight_cache.encoders.capture.counts import check_total
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


class Family(LlavaEncoder):
    """LLaVA-NeXT-Video."""

    family = "llava_next_video"
    model_class = "LlavaNextVideoForConditionalGeneration"
    processor_class = "LlavaNextVideoProcessor"
    sizes = "the tower's, such as 336"
    media = ("image", "clip")

    @classmethod
    def pre_merge_tap(cls, config: Any, block_taps: Sequence[Tap]) -> Tap:
        selected: Tap = block_taps[config.vision_feature_layer]
        return replace(selected, name="vit.pre_merge")

    def media_in_prompt(self, media: Media, frames: int) -> Media:
        return "image" if frames == 1 else media

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:
        if media == "image":
            token = self.processor.image_token
            return token, token * (self.merged_grid_side(1) ** 2 + sum(self.around_raster))
        token = self.processor.video_token
        return token, token * (frames * self.merged_grid_side(frames) ** 2)

    def merged_grid_side(self, frames: int) -> int:
        side = self._size // self._patch
        return side if frames == 1 else int(side // self.config.spatial_pool_stride)

    def visual_counts(self, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        newline = self.around_raster[1]
        return [grid.tokens + (newline if grid.t == 1 else 0) for grid in self.token_grids("merged", inputs)]

    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        multimodal = self.tapped_module(self.model)
        states = multimodal.get_submodule("vision_tower")(
            inputs["pixel_values"].to(self.model.dtype), output_hidden_states=True
        ).hidden_states[self.config.vision_feature_layer]
        frames = torch.split(states[:, self.tower(self.config).leading :], self.frame_counts(inputs))
        # Images and clips have different numbers of tokens, but go through the projector together, as it is one tap.
        tokens = [self._pooled(part).flatten(0, 1) for part in frames]
        projected = multimodal.get_submodule("multi_modal_projector")(torch.cat(tokens))
        newline = multimodal.get_parameter("image_newline")[None]
        parts = torch.split(projected, [len(part) for part in tokens])
        rows = [(part, newline) if len(frame) == 1 else (part,) for part, frame in zip(parts, frames, strict=True)]
        return torch.cat([row for sample in rows for row in sample])

    def vision_tokens(self, tap: Tap, hidden: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        if tap.name != "vit.post_merge":
            return super().vision_tokens(tap, hidden, inputs)
        counts = [grid.tokens for grid in self.token_grids("merged", inputs)]
        check_total(len(hidden), sum(counts), tap.name)
        return list(torch.split(hidden, counts))

    def _pooled(self, frames_TND: torch.Tensor) -> torch.Tensor:
        """Returns an image's patches as they are, and those of a clip's frames pooled by the model's own module."""
        if len(frames_TND) == 1:
            return frames_TND
        pooled: torch.Tensor = self.tapped_module(self.model).get_submodule("vision_resampler")(frames_TND)
        return pooled

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for views of 84 px: 6×6 patches, 3×3 tokens a frame of a clip."""
        tokenizer = tiny_models.byte_tokenizer("<image>", "<video>")
        tiles = [[84, 168], [168, 84], [168, 168]]
        config = make(
            "LlavaNextVideoConfig",
            vision_config={
                **{"model_type": "clip_vision_model", "image_size": 84, "patch_size": 14},
                **tiny_models.tower_config(),
            },
            text_config={"model_type": "llama", **tiny_models.language_config(tokenizer)},
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
            image_grid_pinpoints=tiles,
        )
        sizes = {"size": {"shortest_edge": 84}, "crop_size": {"height": 84, "width": 84}}
        processor = make(
            "LlavaNextVideoProcessor",
            image_processor=make("LlavaNextImageProcessor", **sizes, image_grid_pinpoints=tiles),
            video_processor=make("LlavaNextVideoVideoProcessor", **sizes),
            tokenizer=tokenizer,
            patch_size=14,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=tiny_models.chat_template(image="<image>", video="<video>"),
        )
        return config, processor
