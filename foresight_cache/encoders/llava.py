"""LLaVA 1.5: a CLIP tower, a projector and a causal language model; images only, which are one view without tiles.

`vit.pre_merge` is what enters the projector: the output of the last block but one (as the configuration says), without
the class token. Where `vision_feature_select_strategy` is `full`, that token goes into the language model as well,
before the patches of its image, and is kept nowhere but as `@cls`. No tokens are merged.
"""

from typing import Any

from foresight_cache.encoders.bases.single_view import SingleViewEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


class Family(SingleViewEncoder):
    """LLaVA 1.5."""

    family = "llava"
    model_class = "LlavaForConditionalGeneration"
    counts_operations = True
    processor_class = "LlavaProcessor"
    sizes = "the tower's, such as 336"
    takes_class_token = True

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:  # noqa: ARG002 - there are only images
        token = self.processor.image_token
        return token, token * (self.merged_grid_side(1) ** 2 + sum(self.around_raster))

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - there are only images
        return self._size // self._patch

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for images of 70 px (5×5 patches)."""
        tokenizer = tiny_models.byte_tokenizer("<image>")
        config = make(
            "LlavaConfig",
            vision_config={
                **{"model_type": "clip_vision_model", "image_size": 70, "patch_size": 14},
                **tiny_models.tower_config(),
            },
            text_config={"model_type": "llama", **tiny_models.language_config(tokenizer)},
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            image_seq_length=25,
        )
        processor = make(
            "LlavaProcessor",
            image_processor=make(
                "CLIPImageProcessor", size={"shortest_edge": 70}, crop_size={"height": 70, "width": 70}
            ),
            tokenizer=tokenizer,
            patch_size=14,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            chat_template=tiny_models.chat_template(image="<image>"),
        )
        return config, processor
