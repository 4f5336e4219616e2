"""The frozen decoder of the VAE whose latents are cached: the one place where probes run a frozen model.

Nothing is trained through it, and it is held to what the cache has before anything else is done.
"""

from typing import Any

import numpy as np
import torch

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import UsageError
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.adapters.aligned import LATENT, RECONSTRUCTION

FAMILY = "ltx_vae"
"""Family whose latents can be decoded."""
LARGEST_DIFFERENCE = 1.0
"""Mean difference, in levels of 256, up to which a decoded latent counts as the cached one: devices round apart."""


class Decoder:
    """Makes clips of latents as they are cached.

    Raises `UsageError` for a cache of another family, or whose weights or pictures are not those of the model, and
    what loading a model raises.
    """

    def __init__(self, latents: Cache, model: str | None = None, device: str = "auto") -> None:
        """Loads `model`, or that which the cache's fingerprint names."""
        told = latents.fingerprint["model"]
        if told.get("family") != FAMILY:
            raise UsageError(
                f"{latents.path} has latents of {told.get('family')!r}, and only those of {FAMILY!r} can be decoded; "
                "use --no-decode, or latents of LTX-Video's VAE"
            )
        name = model or told["name"]
        options = LoadOptions(dtype=told["dtype"], device=device, revision=None if model else told.get("revision"))
        self.name = name
        self._family: Any = encoders.load(name, options, [LATENT, RECONSTRUCTION])
        found = self._family.identity()["weights_digest"]
        if found != told.get("weights_digest"):
            raise UsageError(
                f"the VAE {name} is not the one of {latents.path}: model.weights_digest is {found[:12]}… and "
                f"{str(told.get('weights_digest'))[:12]}… there; name that one by --vae"
            )

    def __call__(self, latent_QC: np.ndarray, grid: Grid) -> np.ndarray:
        """Returns a clip, uint8 RGB [T, H, W, 3], of a latent in raster order, rounded to the cache's number type.

        So the cached latent gives what is cached as `vae.reconstruction`.
        """
        tokens_QC = torch.from_numpy(np.ascontiguousarray(latent_QC, np.float32))
        rounded = tokens_QC.to(getattr(torch, self._family.options.dtype)).float()
        clip_THWC: np.ndarray = self._family.decode(rounded, grid).cpu().numpy()
        return clip_THWC

    def check(self, latents: Cache, row: int) -> None:
        """Raises `UsageError` where a cached latent does not become the cached reconstruction of a sample."""
        if RECONSTRUCTION not in latents.arrays:
            return
        there = latents[RECONSTRUCTION].grid(row)
        made = self(latents[LATENT][row], latents[LATENT].grid_of(row))
        away = float(np.abs(made.astype(int) - there).mean()) if made.shape == there.shape else float("inf")
        if away > LARGEST_DIFFERENCE:
            raise UsageError(
                f"the VAE {self.name} makes another picture of {LATENT} than {RECONSTRUCTION} of {latents.path}: they "
                f"differ by {away:.1f} of 256 levels in the mean, expected {LARGEST_DIFFERENCE:g} at most; extract the "
                "latents again with the diffusers that is installed here"
            )
