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


@torch.no_grad()
def picture(model: Any, latent_DTHW: torch.Tensor) -> torch.Tensor:
    """Decodes a normalised latent as the pipelines of diffusers do: uint8 [T, H, W, 3].

    Noise is that of the seed 0, the timestep 0.05 and the share of noise 0.025 those of diffusers' documentation.
    """
    from diffusers import LTXPipeline
    from diffusers.video_processor import VideoProcessor

    statistics = model.latents_mean, model.latents_std, model.config.scaling_factor
    latent = LTXPipeline._denormalize_latents(latent_DTHW[None], *statistics)
    timestep = None
    if model.config.timestep_conditioning:
        noise = torch.randn(latent_DTHW.shape, generator=torch.Generator().manual_seed(0))
        latent, timestep = (1 - 0.025) * latent + 0.025 * noise, torch.tensor([0.05])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        video = model.decode(latent, timestep, return_dict=False)[0]
    frames = VideoProcessor(vae_scale_factor=32).postprocess_video(video, output_type="np")[0]
    return torch.from_numpy((frames * 255).round().astype(np.uint8))
