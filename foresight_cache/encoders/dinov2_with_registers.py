"""DINOv2 with register tokens, which stand between the class token and the patches and are left out of `tokens`."""

from dataclasses import replace
from typing import Any

from foresight_cache.encoders import Tap, dinov2
from foresight_cache.encoders.weights.tiny_models import make


class Family(dinov2.Family):
    """DINOv2 with registers, whose number is read from the configuration."""

    family = "dinov2_with_registers"
    model_class = "Dinov2WithRegistersModel"

    @classmethod
    def taps_of(cls, config: Any) -> tuple[Tap, ...]:
        tower = replace(cls.tower, leading=1 + config.num_register_tokens)
        return tower.all_taps(config.num_hidden_layers, config.hidden_size)

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with four registers, as the published ones have; else as the tiny DINOv2."""
        plain, processor = dinov2.Family.tiny()
        fields = ("hidden_size", "num_hidden_layers", "num_attention_heads", "mlp_ratio", "image_size", "patch_size")
        config = make(
            "Dinov2WithRegistersConfig",
            num_register_tokens=4,
            **{name: getattr(plain, name) for name in fields},
        )
        return config, processor
