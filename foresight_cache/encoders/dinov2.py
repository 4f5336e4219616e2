"""DINOv2: a vision transformer with a class token; `vit.final_norm` is what its model returns.

`vit.pre_merge` is the output of the last block, before that norm. The class token is the readout `@cls`.
"""

from typing import Any

from foresight_cache.encoders.bases.towers import Tower
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """DINOv2, which takes any size by itself."""

    family = "dinov2"
    model_class = "Dinov2Model"
    tower = Tower(patches="embeddings.patch_embeddings", blocks="encoder.layer", leading=1, norm="layernorm")
    resampling = {}  # noqa: RUF012

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned at 112 px (8×8 patches)."""
        config = make(
            "Dinov2Config",
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            mlp_ratio=2,
            image_size=112,
            patch_size=14,
        )
        return config, make("BitImageProcessor", do_convert_rgb=True)
