"""SigLIP 2 for native aspect ratios (NaFlex): a vision tower over patches that the processor has cut out.

Of a whole SigLIP 2 only the vision part is loaded. The models for one size are of the family `siglip`. An input of
native size is as large as the processor's `max_num_patches` allow; inputs of one size are run together, so that none
is padded. `vit.pre_merge` is the output of the last block, `vit.final_norm` what the model returns.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import isqrt
from typing import Any

import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.towers import TOWERS
from foresight_cache.encoders.bases.vision import VisionEncoder
from foresight_cache.encoders.weights import loading, tiny_models
from foresight_cache.encoders.weights.tiny_models import make


class Family(VisionEncoder):
    """The vision tower of SigLIP 2 that takes any aspect ratio."""

    family = "siglip2"
    model_class = "Siglip2VisionModel"
    tower = TOWERS["siglip_vision_model"]
    pixel_settings = (*loading.PIXEL_SETTINGS, "patch_size", "max_num_patches")

    def native_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the size of the model's own processor; of an image of a few pixels the one it tends to."""
        from transformers.models.siglip2.image_processing_siglip2 import get_image_size_for_max_num_patches

        before, size = (0, 0), (height, width)
        while size != before:  # it enlarges by no more than 100 at once
            before, size = size, get_image_size_for_max_num_patches(*size, self.patch_multiple, self._patches)
        return size

    @property
    def max_pixels(self) -> int:
        return self._patches * self.patch_multiple**2

    def run_model(self, inputs: Mapping[str, torch.Tensor], taps: Sequence[Tap]) -> None:  # noqa: ARG002 - hooks stop it
        side, (height, width) = self.patch_multiple, inputs["sizes"][0, 1:].tolist()
        rows, columns = height // side, width // side
        pixels_TCYHXW = inputs["pixels"].view(-1, 3, rows, side, columns, side)
        patches_TND = pixels_TCYHXW.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        shapes = torch.tensor([[rows, columns]] * len(patches_TND))
        self.model(patches_TND, torch.ones(patches_TND.shape[:2], device=patches_TND.device), shapes)

    @cached_property
    def _trained_size(self) -> tuple[int, int]:
        side = isqrt(self.config.num_patches) * self.patch_multiple
        return side, side

    @cached_property
    def _patches(self) -> int:
        return int(self.processor.max_num_patches)

    @classmethod
    def tiny(cls) -> tuple[Any, Any]:
        """Makes a model with positions learned on an 8×8 grid, of patches of 16 px."""
        config = make("Siglip2VisionConfig", **tiny_models.tower_config(), num_patches=64, patch_size=16)
        return config, make("Siglip2ImageProcessor", patch_size=16, max_num_patches=64)
