"""Vision-language models for images that take one view of an image and no tiles, so that their own pass is run."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.language import is_language
from foresight_cache.encoders.bases.projected import ProjectedEncoder
from foresight_cache.encoders.bases.towers import TOWERS, Tower
from foresight_cache.errors import ModelError


class SingleViewEncoder(ProjectedEncoder):
    """A tower, a projector and a language model whose own code makes the tokens, their positions and their mask.

    `vit.pre_merge` is what enters the projector, `vit.post_merge` what it returns.
    """

    media = ("image",)

    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        multimodal: Any = self.tapped_module(self.model)
        return torch.cat(list(multimodal.get_image_features(self.views(inputs)).pooler_output))

    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:
        if any(is_language(tap) for tap in taps):
            given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            multimodal = self.tapped_module(self.model)
            multimodal(**given, **self.token_types(inputs), pixel_values=self.views(inputs), use_cache=False)
        else:
            self.visual_features(inputs)

    def generation_inputs(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        there = self.on_device(inputs)
        words = {name: there[name] for name in ("input_ids", "attention_mask")}
        return {**words, **self.token_types(there), "pixel_values": self.views(there)}

    def views(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Returns the pixels of all images, [T, C, H, W], as the model takes them."""
        return inputs["pixel_values"].to(self.model.dtype)

    def token_types(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:  # noqa: ARG002 - causal: none
        """Returns what the model is told of the kinds of its tokens, where its attention is not causal throughout."""
        return {}


class SiglipViewEncoder(SingleViewEncoder):
    """A model whose projector takes all tokens that a SigLIP tower returns, after its final norm."""

    tower_kind: ClassVar[str] = "siglip_vision_model"
    """Model type of the tower."""

    @classmethod
    def tower(cls, config: Any) -> Tower:
        """Returns the modules of the vision tower. Raises `ModelError` where it is no SigLIP."""
        kind, expected = config.vision_config.model_type, cls.tower_kind
        if kind != expected:
            raise ModelError(f"{config.model_type} has a vision tower of type {kind!r}, expected {expected!r}")
        return TOWERS[expected]

    @classmethod
    def class_tokens(cls, config: Any) -> int:  # noqa: ARG003 - the tower has none
        return 0
