"""OWL-ViT: the vision tower of a detector, with a class token and a norm before its first block.

Only the vision tower is loaded, without text tower and detection heads. `vit.pre_merge` is the output of the last
block, from which the heads start; the norm after it is for the class token alone, so that there is no
`vit.final_norm`. The class token is the readout `@cls`.
"""

from typing import Any

from foresight_cache.encoders.bases.towers import TOWERS
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """The vision tower of OWL-ViT."""

    family = "owlvit"
    model_class = "OwlViTVisionModel"
    tower = TOWERS["clip_vision_model"]
    tower_path = "vision_model"

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned at 128 px (8×8 patches)."""
        config = make(
            "OwlViTVisionConfig",
            **tiny_models.tower_config(),
            image_size=128,
            patch_size=16,
        )
        return config, make("OwlViTImageProcessor")
