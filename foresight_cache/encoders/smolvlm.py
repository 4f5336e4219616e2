"""SmolVLM 2: a SigLIP tower, pixel shuffle into a linear projector, and a causal language model; images.

Its processor cuts an image into tiles that stand before the view of the whole image, which therefore sees them. Here
an image is that view alone, as the processor has it with `do_image_splitting` off and for the frames of a video. The
shuffle joins squares of patches (of the published models 3×3 or 4×4), which leaves tokens in raster order.
`vit.pre_merge` is what enters it: the output of the tower after its final norm.

The model's own processor class needs a package that spells numbers out in the prompts of videos; that of Idefics 3,
which has the same prompts of images, does not and is taken, so that a clip is several images of one prompt.
"""

from collections.abc import Mapping
from typing import Any

import torch

from foresight_cache.encoders.bases.single_view import SiglipViewEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.samples import Media


class Family(SiglipViewEncoder):
    """SmolVLM 2."""

    family = "smolvlm"
    model_class = "SmolVLMForConditionalGeneration"
    counts_operations = True
    processor_class = "Idefics3Processor"
    sizes = "the tower's, such as 512"
    tower_path = "vision_model"
    tower_kind = "smolvlm_vision"
    projector_path = "connector"
    language_path = "text_model"

    def placeholder_tokens(self, media: Media, frames: int) -> tuple[str, str]:  # noqa: ARG002 - there are only images
        processor, count = self.processor, self.merged_grid_side(1) ** 2
        mark = processor.fake_image_token
        return processor.image_token, f"{mark}{processor.global_image_tag}{processor.image_token * count}{mark}"

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - there are only images
        return int(self._size // self._patch // self.config.scale_factor)

    def views(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Returns the pixels as those of one sample's images, [1, T, C, H, W]: to the model they are a list."""
        return super().views(inputs)[None]

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model for images of 112 px: 8×8 patches, 4×4 tokens."""
        tokenizer = tiny_models.byte_tokenizer(
            "<fake_token_around_image>", "<global-img>", "<image>", "<end_of_utterance>"
        )
        processor = make(
            cls.processor_class,
            image_processor=make(
                "SmolVLMImageProcessor", size={"longest_edge": 112}, max_image_size={"longest_edge": 112}
            ),
            tokenizer=tokenizer,
            image_seq_len=16,
            chat_template=tiny_models.chat_template(image="<image>"),
        )
        config = make(
            "SmolVLMConfig",
            vision_config={**tiny_models.tower_config(), "image_size": 112, "patch_size": 14},
            text_config={"model_type": "llama", **tiny_models.language_config(tokenizer)},
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            scale_factor=2,
        )
        return config, processor
