"""The VAE of LTX-Video run by hand, through diffusers' own calls."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from PIL import Image

from foresight_cache.samples import Media


def full_attention(encoder: Any) -> Any:
    return nullcontext()


@torch.no_grad()
def latent(model: Any, clip: np.ndarray) -> torch.Tensor:
    """Encodes a clip [T, H, W, C] and normalises the mode as the pipelines of diffusers do: [D, T, H, W]."""
    from diffusers import LTXPipeline
    from diffusers.video_processor import VideoProcessor

    frames = VideoProcessor(vae_scale_factor=32).preprocess_video([Image.fromarray(frame) for frame in clip])
    mode = model.encode(frames).latent_dist.mode()
    return LTXPipeline._normalize_latents(mode, model.latents_mean, model.latents_std, model.config.scaling_factor)[0]


def tower_without_windows(encoder: Any, clips: Sequence[np.ndarray], media: Media) -> dict[str, list[torch.Tensor]]:
    """Lays out each clip's latent by plain loops."""
    return {"vae.latent": [_tokens(latent(encoder.model, clip)) for clip in clips]}


def _tokens(latent_DTHW: torch.Tensor) -> torch.Tensor:
    _, frames, height, width = latent_DTHW.shape
    cells = [(t, y, x) for t in range(frames) for y in range(height) for x in range(width)]
    return torch.stack([latent_DTHW[:, t, y, x] for t, y, x in cells])
