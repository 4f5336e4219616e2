"""SigLIP: the vision tower, without class token; `vit.final_norm` is what its model returns.

Of a whole SigLIP only the vision part is loaded. `vit.pre_merge` is the output of the last block, before that norm.
Its size need not be a multiple of its patches: the 384 px of the larger model are 27 patches of 14 px, and the 6
pixels that are left at the right and at the bottom are seen by no token.
"""

from typing import Any

from foresight_cache.encoders.bases.towers import TOWERS
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """The vision tower of SigLIP."""

    family = "siglip"
    model_class = "SiglipVisionModel"
    sizes = "multiples of the patch, or the trained size; native"
    tower = TOWERS["siglip_vision_model"]

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned at 118 px (8×8 patches and 6 pixels that are left)."""
        config = make(
            "SiglipVisionConfig",
            **tiny_models.tower_config(),
            image_size=118,
            patch_size=14,
        )
        return config, make("SiglipImageProcessor")
