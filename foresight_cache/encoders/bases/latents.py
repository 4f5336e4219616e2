"""Latents of a video autoencoder of diffusers: their grid, their normalisation, and what is decoded from them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from foresight_cache.encoders.weights import tiny_models
from foresight_cache.errors import FeatureError, ModelError

KEPT = "(mean of the posterior - latents_mean) * scaling_factor / latents_std"
"""What is kept of a latent, by channel, as the pipelines of LTX-Video normalise it."""
TIMESTEP, NOISE_SCALE = 0.05, 0.025
"""Of a decoder that is conditioned on a timestep: that timestep, and the share of noise that it is to remove, as
diffusers' documentation of LTX-Video recommends."""
SEED = 0
"""Seed of that noise and of the noise that a decoder injects, anew for each sample."""
RECIPE = "convolutions that look ahead, statistics normal and uniform, 1"
"""Name of the rule of `randomise`, for digests; to be changed together with it."""

_ASIDE = 0.05
"""Weight of what lies beside, of that of what lies straight ahead."""
_UNSAID = {
    "latent_channels": 128,
    "patch_size": 4,
    "patch_size_t": 1,
    "spatio_temporal_scaling": (True, True, True, False),
    "scaling_factor": 1.0,
    "timestep_conditioning": False,
    "decoder_inject_noise": (),
    "spatial_compression_ratio": None,
    "temporal_compression_ratio": None,
}
"""What a configuration means that does not say it: the defaults of `AutoencoderKLLTXVideo`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentShape:
    """What a model's configuration says of its latents."""

    channels: int
    frames_per_step: int
    """Frames that a step of a latent covers; the first step is one frame alone."""
    pixels_per_side: int
    """Pixels along a side of what one cell of a latent covers."""
    scaling_factor: float
    is_conditioned: bool
    """True where the decoder is told a timestep, and given some noise to remove."""
    injects_noise: bool
    """True where the decoder adds noise of its own."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Reads a configuration of `AutoencoderKLLTXVideo`. Raises `ModelError` for settings that are none.

        >>> shape = LatentShape.of({"patch_size": 4, "spatio_temporal_scaling": [True, True, True, False]})
        >>> shape.channels, shape.frames_per_step, shape.pixels_per_side
        (128, 8, 32)
        """
        said = {name: config.get(name, unsaid) for name, unsaid in _UNSAID.items()}
        try:
            halvings = sum(map(bool, said["spatio_temporal_scaling"]))
            across = said["spatial_compression_ratio"] or said["patch_size"] * 2**halvings
            along = said["temporal_compression_ratio"] or said["patch_size_t"] * 2**halvings
            shape = cls(
                channels=int(said["latent_channels"]),
                frames_per_step=int(along),
                pixels_per_side=int(across),
                scaling_factor=float(said["scaling_factor"]),
                is_conditioned=bool(said["timestep_conditioning"]),
                injects_noise=any(said["decoder_inject_noise"]),
            )
        except (TypeError, ValueError) as error:
            raise ModelError(f"the configuration of the VAE cannot be understood: {error}") from error
        if min(shape.channels, shape.frames_per_step, shape.pixels_per_side) < 1 or not shape.scaling_factor > 0:
            raise ModelError(f"the configuration of the VAE has impossible sizes, {shape}; expected positive numbers")
        return shape


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and deviation of each channel [D] of a latent, float32, and a factor for all."""

    mean_D: torch.Tensor
    deviation_D: torch.Tensor
    factor: float

    def applied(self, latent_DTHW: torch.Tensor) -> torch.Tensor:
        """Returns a latent of unit variance, as transformers that generate video take it.

        >>> normalisation = Normalisation(torch.tensor([1.0]), torch.tensor([2.0]), 0.5)
        >>> latent = normalisation.applied(torch.full((1, 1, 1, 1), 9.0))
        >>> latent.item(), normalisation.undone(latent).item()
        (2.0, 9.0)
        """
        return (latent_DTHW - _by_channel(self.mean_D)) * self.factor / _by_channel(self.deviation_D)

    def undone(self, latent_DTHW: torch.Tensor) -> torch.Tensor:
        """Returns the latent as the decoder takes it."""
        return latent_DTHW * _by_channel(self.deviation_D) / self.factor + _by_channel(self.mean_D)


def _by_channel(values_D: torch.Tensor) -> torch.Tensor:
    return values_D[:, None, None, None]


def decoded(model: Any, latent_DTHW: torch.Tensor, *, is_conditioned: bool) -> torch.Tensor:
    """Returns what a decoder makes of one latent, which is not normalised: uint8 [T, H, W, C], as a player shows it.

    The global random numbers stay as they were. Raises `FeatureError` where it is not finite.
    """
    timestep = None
    if is_conditioned:
        noise = torch.randn(latent_DTHW.shape, generator=torch.Generator().manual_seed(SEED)).to(latent_DTHW.device)
        latent_DTHW = (1 - NOISE_SCALE) * latent_DTHW + NOISE_SCALE * noise
        timestep = torch.tensor([TIMESTEP], device=latent_DTHW.device, dtype=model.dtype)
    with _seeded(latent_DTHW.device):
        frames_CTHW: torch.Tensor = model.decode(latent_DTHW[None].to(model.dtype), timestep).sample[0].float()
    if not bool(frames_CTHW.isfinite().all()):
        raise FeatureError(
            "what the decoder of the VAE makes of a latent holds NaN or infinite values; nothing of its shard was "
            "kept; try --dtype float32 or look at the model"
        )
    levels_CTHW = (frames_CTHW / 2 + 0.5).clamp(0, 1) * 255
    return levels_CTHW.round().to(torch.uint8).permute(1, 2, 3, 0)


def decoding_identity(model: Any, shape: LatentShape) -> dict[str, Any]:
    """Returns all beside the weights that decides what is decoded, for a fingerprint; JSON values."""
    names = {"tiling": "use_tiling", "slicing": "use_slicing", "framewise": "use_framewise_decoding"}
    return {
        "timestep_conditioning": shape.is_conditioned,
        "timestep": TIMESTEP if shape.is_conditioned else None,
        "noise_scale": NOISE_SCALE if shape.is_conditioned else None,
        "injects_noise": shape.injects_noise,
        "noise_seed": SEED if shape.is_conditioned or shape.injects_noise else None,
        **{name: bool(getattr(model, attribute, False)) for name, attribute in names.items()},
    }


@torch.no_grad()
def randomise(model: nn.Module, statistics: Sequence[str], seed: int) -> None:
    """Draws all weights anew, and the buffers `statistics`, a mean and a deviation of each channel.

    Convolutions look most at what lies straight ahead, so that a cell of a latent tells most of the pixels that it
    covers, as after a training; else it would tell as much of its neighbours. Of a new model the statistics are zeros
    and ones, with which a wrong normalisation would be the right one.
    """
    tiny_models.randomise(model, seed)
    for module in model.modules():
        if isinstance(module, nn.Conv3d) and module.kernel_size[1:] == (3, 3):
            before = module.weight.norm()
            sight = torch.tensor([_ASIDE, 1.0, 1.0 if module.stride[1] == 2 else _ASIDE])
            module.weight.mul_(sight[:, None] * sight)
            module.weight.mul_(before / module.weight.norm())
    generator = torch.Generator().manual_seed(seed)
    mean_D, deviation_D = (model.get_buffer(name) for name in statistics)
    mean_D.copy_(torch.randn(mean_D.shape, generator=generator) / 2)
    deviation_D.copy_(torch.rand(deviation_D.shape, generator=generator) + 0.5)


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Seeds the global random numbers, which are all that a decoder takes noise from, and puts them back."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(SEED)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(SEED)
        yield
