"""Vision towers: frames as they take them, their modules, and the raster tokens in what these return."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foresight_cache.encoders import Tap
from foresight_cache.encoders.bases.transformers_encoder import Hidden
from foresight_cache.encoders.capture.counts import check_total


def normalise(frames_THWC: np.ndarray, processor: Any) -> torch.Tensor:
    """Scales and normalises uint8 frames as the processor would, to float32 [T, C, H, W].

    Mean and deviation are brought to the range of the pixels, as the processors of transformers do, so that the last
    bits agree as well.
    """
    pixels = torch.from_numpy(frames_THWC).permute(0, 3, 1, 2).float()
    scale = processor.rescale_factor if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return pixels * scale
    mean, deviation = (torch.tensor(values) * (1.0 / scale) for values in (processor.image_mean, processor.image_std))
    return (pixels - mean[:, None, None]) / deviation[:, None, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tower:
    """The modules of a kind of vision tower, and the tokens that stand around its raster tokens."""

    patches: str
    """Path of the module that embeds patches; it returns [T, N, D] or, as convolutions do, [T, D, rows, columns]."""
    blocks: str
    """Path of the list of blocks, which return [T, leading + N + trailing, D]."""
    leading: int
    """Class and register tokens; the class token is the first."""
    trailing: int = 0
    """Tokens behind the raster tokens."""
    norm: str | None = None
    """Path of a final norm over all tokens, where the tower has one."""

    def block_taps(self, depth: int, width: int, prefix: str = "") -> tuple[Tap, ...]:
        """Returns the taps of the patch embedding and of all blocks."""

        embed = Tap(name="vit.patch_embed", module=f"{prefix}{self.patches}", side="output", level="patch", width=width)
        blocks = (self._tap(f"vit.block_{k + 1:02d}", f"{prefix}{self.blocks}.{k}", width) for k in range(depth))
        return (embed, *blocks)

    def all_taps(self, depth: int, width: int) -> tuple[Tap, ...]:
        """Returns all taps of a tower that stands alone."""
        last = self._tap("vit.pre_merge", f"{self.blocks}.{depth - 1}", width)
        norm = [self._tap("vit.final_norm", self.norm, width)] if self.norm else []
        return (*self.block_taps(depth, width), last, *norm)

    def _tap(self, name: str, module: str, width: int) -> Tap:
        around = {"leading": self.leading, "trailing": self.trailing}
        return Tap(name=name, module=module, side="output", level="patch", width=width, **around)

    @staticmethod
    def raster_tokens(tap: Tap, hidden: Hidden, frames: Sequence[int]) -> list[torch.Tensor]:
        """Returns the raster tokens [N, D] of samples with so many frames each."""
        if hidden.dim() == 4:
            hidden = hidden.flatten(2).transpose(1, 2)
        check_total(len(hidden), sum(frames), f"{tap.name}, counted in frames,")
        tokens = hidden[:, tap.leading : hidden.shape[1] - tap.trailing]
        return [part.flatten(0, 1) for part in torch.split(tokens, list(frames))]


_SIGLIP = Tower(patches="embeddings.patch_embedding", blocks="encoder.layers", leading=0, norm="post_layernorm")
TOWERS = {
    "clip_vision_model": Tower(patches="embeddings.patch_embedding", blocks="encoder.layers", leading=1),
    "siglip_vision_model": _SIGLIP,
    "smolvlm_vision": _SIGLIP,
    "internvl_vision": Tower(
        patches="embeddings.patch_embeddings", blocks="encoder.layer", leading=1, norm="layernorm"
    ),
}
"""Towers that vision-language models have, by the model type of their configuration."""
