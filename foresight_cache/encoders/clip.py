"""CLIP: the vision tower, with a class token and a norm before its first block.

Of a whole CLIP only the vision part is loaded. `vit.pre_merge` is the output of the last block; the norm after it is
for the class token alone, so that there is no `vit.final_norm`. The class token is the readout `@cls`.
"""

from typing import Any

from foresight_cache.encoders.bases.towers import TOWERS
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """The vision tower of CLIP."""

    family = "clip"
    model_class = "CLIPVisionModel"
    tower = TOWERS["clip_vision_model"]

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned at 112 px (7×7 patches)."""
        config = make(
            "CLIPVisionConfig",
            **tiny_models.tower_config(),
            image_size=112,
            patch_size=16,
        )
        return config, make("CLIPImageProcessor")
