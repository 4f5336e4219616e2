"""InternVL: a vision transformer, 2×2 pixel shuffle into a projector, and a causal language model; images and clips.

`vit.pre_merge` is what enters the pixel shuffle: the output of the tower after its final norm (which most of these
models have as an identity), without the class token. `vit.post_merge` is what the projector returns; the shuffle
leaves merged tokens in raster order. An image is one tile; each frame of a clip is one too, behind a line of text
that numbers it, so that visual tokens are no single run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.projected import ProjectedEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


class Family(ProjectedEncoder):
    """InternVL."""

    family = "internvl"
    model_class = "InternVLForConditionalGeneration"
    counts_operations = True
    processor_class = "InternVLProcessor"
    sizes = "the tile's, such as 448"
    media = ("image", "clip")

    @classmethod
    def pre_merge_tap(cls, config: Any, block_taps: Sequence[Tap]) -> Tap:
        tower, layer, width = cls.tower(config), config.vision_feature_layer, config.vision_config.hidden_size
        module = f"vision_tower.{tower.norm}" if layer == -1 else block_taps[layer].module
        return Tap(
            name="vit.pre_merge", module=module, side="output", level="patch", width=width, leading=tower.leading
        )

    def visual_ids(self) -> set[int]:
        return {int(self.config.image_token_id)}

    def placeholder_id(self, media: Media) -> int:
        token = self.processor.image_token if media == "image" else self.processor.video_token
        return int(self.processor.tokenizer.convert_tokens_to_ids(token))

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:
        processor, count = self.processor, self.merged_grid_side(1) ** 2
        tile = f"{processor.start_image_token}{processor.image_token * count}{processor.end_image_token}"
        if media == "image":
            return processor.image_token, tile
        return processor.video_token, "\n".join(f"Frame{number + 1}: {tile}" for number in range(frames))

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - of each frame
        return int(self._size // self._patch * self.config.downsample_ratio)

    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        features: Any = self.tapped_module(self.model).get_image_features(inputs["pixel_values"])  # type: ignore[operator]
        tokens_TND: torch.Tensor = features.pooler_output
        return tokens_TND.flatten(0, 1)

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for tiles of 112 px: 8×8 patches, 4×4 merged tokens."""
        marks = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
        marks |= {"video_token": "<video>"}
        tokenizer = tiny_models.byte_tokenizer(*marks.values(), named=marks)
        config = make(
            "InternVLConfig",
            vision_config={
                **tiny_models.tower_config(),
                **{"image_size": [112, 112], "patch_size": [14, 14], "layer_scale_init_value": 1.0},
            },
            text_config={"model_type": "qwen2", **tiny_models.language_config(tokenizer)},
            image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
            image_seq_length=16,
            tie_word_embeddings=False,
        )
        size = {"height": 112, "width": 112}
        processor = make(
            "InternVLProcessor",
            image_processor=make("GotOcr2ImageProcessor", size=size, crop_to_patches=False),
            # Other numbers than for images, as settings of the two need not agree.
            video_processor=make("InternVLVideoProcessor", size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3),
            tokenizer=tokenizer,
            image_seq_length=16,
            chat_template=tiny_models.chat_template(image="<IMG_CONTEXT>", video="<video>"),
        )
        return config, processor
