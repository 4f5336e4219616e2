"""DINOv3: a vision transformer with a class token and registers; its positions are rotary, so that any size is taken.

`vit.pre_merge` is the output of the last block, before the final norm. The class token is the readout `@cls`.
"""

from dataclasses import replace
from typing import Any

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.towers import Tower
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """DINOv3's transformers; the number of registers is read from the configuration."""

    family = "dinov3_vit"
    model_class = "DINOv3ViTModel"
    tower = Tower(patches="embeddings.patch_embeddings", blocks="model.layer", leading=1, norm="norm")
    resampling = {}  # noqa: RUF012

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        tower = replace(cls.tower, leading=1 + config.num_register_tokens)
        return tower.all_taps(config.num_hidden_layers, config.hidden_size)

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with four registers, as the published ones have, that stands for 128 px (8×8 patches)."""
        config = make(
            "DINOv3ViTConfig",
            **tiny_models.tower_config(),
            image_size=128,
            patch_size=16,
            num_register_tokens=4,
        )
        return config, make("DINOv3ViTImageProcessor")
