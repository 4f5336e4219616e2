"""From uint8 frames to what a tower takes, and from what its modules return to raster tokens, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.transformers_encoder import Hidden

SETTINGS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_convert_rgb")
"""Settings of a processor that `normalise` heeds, and whether it converts to RGB, which frames here are already."""


def normalise(frames: np.ndarray, processor: Any) -> torch.Tensor:
    """Frames uint8 [T, H, W, 3] as the processor would scale and normalise them, float32 [T, 3, H, W].

    Mean and deviation are brought to the range of the pixels, as the processors of transformers do, so that the last
    bits agree as well.
    """
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    scale = processor.rescale_factor if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return pixels * scale
    mean, deviation = (torch.tensor(values) * (1.0 / scale) for values in (processor.image_mean, processor.image_std))
    return (pixels - mean[:, None, None]) / deviation[:, None, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tower:
    """Where a kind of vision tower has its modules, and what stands before its raster tokens."""

    patches: str
    """Path of the module that embeds patches; it may return [F, N, D] or, as a convolution does, [F, D, H, W]."""
    blocks: str
    """Path of the list of blocks, whose members return [F, leading + N, D]."""
    leading: int
    """Class and register tokens; the class token is the first."""
    norm: str | None = None
    """Path of a final norm over all tokens, where the tower has one."""

    def block_taps(self, depth: int, width: int, prefix: str = "") -> tuple[Tap, ...]:
        """The patch embedding and all blocks."""

        def tap(name: str, module: str, leading: int) -> Tap:
            return Tap(
                name=name, module=f"{prefix}{module}", side="output", level="patch", width=width, leading=leading
            )

        return (
            tap("vit.patch_embed", self.patches, 0),
            *(tap(f"vit.block_{k + 1:02d}", f"{self.blocks}.{k}", self.leading) for k in range(depth)),
        )

    def all_taps(self, depth: int, width: int) -> tuple[Tap, ...]:
        """All taps of a tower that stands alone."""

        def tap(name: str, module: str) -> Tap:
            return Tap(name=name, module=module, side="output", level="patch", width=width, leading=self.leading)

        norm = [tap("vit.final_norm", self.norm)] if self.norm else []
        return (*self.block_taps(depth, width), tap("vit.pre_merge", f"{self.blocks}.{depth - 1}"), *norm)

    @staticmethod
    def raster_tokens(tap: Tap, hidden: Hidden, frames: Sequence[int]) -> list[torch.Tensor]:
        """Tokens of samples with so many frames each, [N, D]."""
        if hidden.dim() == 4:
            hidden = hidden.flatten(2).transpose(1, 2)
        tokens = hidden[:, tap.leading :]
        return [part.flatten(0, 1) for part in torch.split(tokens, list(frames))]


TOWERS = {
    "clip_vision_model": Tower(patches="embeddings.patch_embedding", blocks="encoder.layers", leading=1),
    "siglip_vision_model": Tower(
        patches="embeddings.patch_embedding", blocks="encoder.layers", leading=0, norm="post_layernorm"
    ),
    "internvl_vision": Tower(
        patches="embeddings.patch_embeddings", blocks="encoder.layer", leading=1, norm="layernorm"
    ),
}
"""Towers that vision-language models have, by the model type of their configuration."""
