"""LLaVA's models: features of one layer of the tower through a two-layer projector, one token for each patch.

Their processors cut a larger image into tiles and put the view of the whole image before them. Only that view is
taken here: as language models are causal, its tokens are what they are in front of tiles as well.
"""

from collections.abc import Mapping
from typing import Any

import torch

from foresight_cache.encoders.bases.projected import ProjectedEncoder


class LlavaEncoder(ProjectedEncoder):
    """A LLaVA model, in which a learned newline stands behind the tokens of a sample.

    The model's own code does so for a single view. The newline is not a raster token, and not `last_vision`.
    """

    def __init__(self, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self.around_raster = (self.around_raster[0], 1)

    def merged_grid_side(self, frames: int) -> int:  # noqa: ARG002 - of an image, and of each frame unless pooled
        return self._size // self._patch

    def visual_features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        multimodal = self.tapped_module(self.model)
        states = multimodal.get_submodule("vision_tower")(
            inputs["pixel_values"].to(self.model.dtype), output_hidden_states=True
        ).hidden_states[self.config.vision_feature_layer]
        if self.config.vision_feature_select_strategy == "default":
            states = states[:, 1:]
        projected = multimodal.get_submodule("multi_modal_projector")(states)
        newline = multimodal.get_parameter("image_newline")[None].to(projected.device)
        parts = torch.split(projected, self.frame_counts(inputs))
        return torch.cat([row for part in parts for row in (self.language_tokens(part), newline)])

    def language_tokens(self, frames_TND: torch.Tensor) -> torch.Tensor:
        """Returns a sample's projected frames as the tokens that enter the language model, [N, D]."""
        return frames_TND.flatten(0, 1)
