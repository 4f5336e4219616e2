"""YOLOS: a detector that is a plain vision transformer, with a class token before the patches and its objects' tokens
behind them.

The detection tokens, which end as boxes, are no part of the raster and are left out, as are the heads that read them.
`vit.block_KK` is what the block returns, before the positions that the larger models add between blocks;
`vit.pre_merge` is the output of the last block and `vit.final_norm` what the heads read. The class token is `@cls`.
"""

from dataclasses import replace
from typing import Any

from torch import nn

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.towers import Tower
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights import loading, tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """YOLOS; the number of its detection tokens is read from the configuration."""

    family = "yolos"
    model_class = "YolosForObjectDetection"
    sizes = "multiples of the patch, or the trained size; native"
    tower = Tower(patches="embeddings.patch_embeddings", blocks="encoder.layer", leading=1, norm="layernorm")
    tower_path = "vit"
    resampling = {}  # noqa: RUF012

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        tower = replace(cls.tower, trailing=config.num_detection_tokens)
        return tower.all_taps(config.num_hidden_layers, config.hidden_size)

    @classmethod
    def leave_out_untapped(cls, model: nn.Module, deepest: str) -> None:  # noqa: ARG003 - no tap needs the heads
        for head in ("class_labels_classifier", "bbox_predictor"):
            loading.leave_out(model, head)

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned at 96×128 px (6×8 patches), anew before each block, for ten objects."""
        config = make(
            "YolosConfig",
            **tiny_models.tower_config(),
            image_size=[96, 128],
            patch_size=16,
            num_detection_tokens=10,
            use_mid_position_embeddings=True,
        )
        return config, make("YolosImageProcessor")
