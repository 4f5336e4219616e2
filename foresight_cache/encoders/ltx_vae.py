"""The VAE of LTX-Video: latents that a video generator works in, and what its decoder makes of them.

`vae.latent` is the mean of the posterior, normalised; `vae.reconstruction` is the picture decoded from that latent as
it is kept, uint8 on the grid of the pixels: the oracle, to which whatever predicts the latent is held.
"""

from collections.abc import Mapping, Sequence
from math import ceil, floor, sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from foresight_cache import records
from foresight_cache.encoders import RANDOM, TINY, LoadOptions, PromptMedia, Tap, TapLevel
from foresight_cache.encoders.bases import latents
from foresight_cache.encoders.bases.sized import SizedEncoder
from foresight_cache.encoders.capture import counts, readouts
from foresight_cache.encoders.weights import (
    checkpoint_files,
    diffusers_models,
    hub_snapshots,
    loading,
    model_files,
    tiny_models,
)
from foresight_cache.encoders.weights.diffusers_models import Config
from foresight_cache.errors import ModelError, UnknownName, UsageError
from foresight_cache.points import Point
from foresight_cache.samples import ClipTimes, Grid

LATENT, RECONSTRUCTION = "vae.latent", "vae.reconstruction"
STATISTICS = ("latents_mean", "latents_std")
"""Buffers by which latents are normalised."""
_MOST_PIXELS = 512 * 704
"""Pixels of a natively sized frame: the size that the pipelines of LTX-Video make unless they are told."""
_TINY = {
    "latent_channels": 16,
    "block_out_channels": [8, 8, 8, 8],
    "decoder_block_out_channels": [8, 8, 8, 8],
    "layers_per_block": [1, 1, 1, 1, 1],
    "decoder_layers_per_block": [1, 1, 1, 1, 1],
}
_TINY_KINDS: Mapping[str, Config] = {
    "": _TINY,
    "0.9.1": {
        **_TINY,
        "decoder_block_out_channels": [16, 32, 64],
        "decoder_layers_per_block": [1, 1, 1, 1],
        "decoder_spatio_temporal_scaling": [True, True, True],
        "decoder_inject_noise": [True, True, True, False],
        "upsample_residual": [True, True, True],
        "upsample_factor": [2, 2, 2],
        "timestep_conditioning": True,
    },
}
"""Configurations with the blocks of releases 0.9.0 and 0.9.1, and their grids of 8 frames and 32 pixels."""


class Family(SizedEncoder):
    """`AutoencoderKLLTXVideo` of diffusers, which takes clips of 8k + 1 frames, one sample at a time.

    The first step of a latent is the first frame alone, each other one eight frames. Samples are run one by one, so
    that each is the same alone and in a batch, to the last bit, whatever noise its decoder draws.

    Inputs of `forward`: `pixels`, uint8 of all frames one after another, and `sizes` [B, 3]: frames, height, width.
    """

    family = "ltx_vae"
    model_class = "AutoencoderKLLTXVideo"
    libraries = ("diffusers",)
    tiny_kinds = tuple(kind for kind in _TINY_KINDS if kind)
    media = ("image", "clip")
    sizes = "multiples of 32; native"

    def __init__(
        self,
        config: Config,
        *,
        options: LoadOptions,
        model: nn.Module | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        """Moves the model to its device, in the number type of the options, and freezes it.

        Raises `ModelError` for a configuration with settings that are none.
        """
        self.config, self.options = config, options
        self.shape = latents.LatentShape.of(config)
        self.patch_multiple = self.shape.pixels_per_side
        self.frame_rule = f"1 more than a multiple of {self.shape.frames_per_step}"
        self.taps = (
            Tap(name=LATENT, module="encoder", side="output", level="patch", width=self.shape.channels),
            Tap(name=RECONSTRUCTION, module="decoder", side="output", level="pixel", width=3),
        )
        self.device = model_files.pick_device(options.device)
        self._source = dict(source or {})
        self.model: Any = None
        if model is not None:
            mean, deviation = (model.get_buffer(name).float().to(self.device) for name in STATISTICS)
            self._normalisation = latents.Normalisation(mean, deviation, self.shape.scaling_factor)
            number_type = getattr(torch, options.dtype)
            # Past diffusers' own method, which warns of what it keeps in float32, and of this class keeps nothing.
            self.model = nn.Module.to(model, self.device, number_type).eval().requires_grad_(False)

    @classmethod
    def load(cls, model: str, options: LoadOptions, taps: Sequence[str] | None = None) -> Self:
        """Does what `Encoder.load` says.

        Raises `MissingExtra` without diffusers, and `UsageError` for options that say nothing to a VAE.
        """
        _check_options(options)
        diffusers_models.check_installed(f"the model family {cls.family}")
        left_out = ("decoder",) if taps is not None and RECONSTRUCTION not in taps else ()
        scheme, _, rest = model.partition(":")
        if scheme == TINY:
            return cls._load_random(_tiny_config(rest), options, left_out, name=model, revision=None)
        is_random = scheme == RANDOM
        name = rest if is_random else model
        path = model_files.directory(name, ("config.json",) if is_random else model_files.DIFFUSERS_FILES)
        config, revision = diffusers_models.load_config(cls.model_class, path), hub_snapshots.commit_of(path)
        name = model_files.identifier(name)
        if is_random:
            return cls._load_random(config, options, left_out, name=f"{RANDOM}:{name}", revision=revision)
        cls(config, options=options)  # before the weights, which take long
        weights = diffusers_models.load_pretrained(cls.model_class, config, path, left_out=left_out, needed=STATISTICS)
        digest = model_files.weights_digest(path, checkpoint_files.OF_DIFFUSERS)
        source = {"name": name, "revision": revision, "weights_digest": digest}
        return cls(config, options=options, model=weights, source=source)

    @classmethod
    def _load_random(
        cls, config: Config, options: LoadOptions, left_out: Sequence[str], *, name: str, revision: str | None
    ) -> Self:
        """Makes a model with seeded weights and statistics; their digest is that of what they follow from."""
        seed = tiny_models.SEED
        config = {**config, tiny_models.SEED_FIELD: seed}
        cls(config, options=options)
        weights: Any = diffusers_models.make(cls.model_class, config, name, left_out)
        weights.register_to_config(**{tiny_models.SEED_FIELD: seed})  # which it keeps where it is saved
        latents.randomise(weights, STATISTICS, seed)
        recipe = [tiny_models.RECIPE, latents.RECIPE, seed, options.dtype, loading.lasting_config(config)]
        source = {"name": name, "revision": revision, "weights_digest": records.digest(recipe)}
        return cls(config, options=options, model=weights, source=source)

    @classmethod
    def describe(cls, model: str, options: LoadOptions) -> Self:
        scheme, _, rest = model.partition(":")
        if scheme == TINY:
            return cls(_tiny_config(rest), options=options)
        path: Path = model_files.directory(rest if scheme == RANDOM else model, ("config.json",))
        return cls(diffusers_models.load_config(cls.model_class, path), options=options)

    def identity(self) -> Mapping[str, Any]:
        seed = self.config.get(tiny_models.SEED_FIELD)
        return {
            "family": self.family,
            **self._source,
            "quantisation": None,
            "weights": "pretrained" if seed is None else "random",
            "seed": seed,
            "class": self.model_class,
            "config_digest": records.digest(loading.lasting_config(self.config)),
            "dtype": self.options.dtype,
            "attention": None,
            "compiled": False,
            "latent": {"kept": latents.KEPT, "scaling_factor": self.shape.scaling_factor},
            "decoder": latents.decoding_identity(self.model, self.shape),
        }

    # Sizes.

    def nearest_frames(self, frames: int) -> int:
        return round(max(0, frames - 1) / self.shape.frames_per_step) * self.shape.frames_per_step + 1

    def native_size(self, height: int, width: int) -> tuple[int, int]:
        side, most = self.patch_multiple, self._most_cells
        rows, columns = height / side, width / side
        if rows * columns > most:
            scale = sqrt(most / (rows * columns))
            rows, columns = max(1, floor(rows * scale)), max(1, floor(columns * scale))
        rows, columns = ceil(rows), ceil(columns)
        if rows * columns > most:  # of a strip, which keeps one cell across, the ends; of others what was rounded up
            rows, columns = min(rows, max(1, most // columns)), min(columns, most)
        return rows * side, columns * side

    def max_tokens(self, level: TapLevel, frames: int) -> int:
        if level == "pixel":
            return frames * self.max_pixels
        return (self.nearest_frames(frames) // self.shape.frames_per_step + 1) * self._most_cells

    @property
    def max_pixels(self) -> int:
        return self._most_cells * self.patch_multiple**2

    @property
    def _most_cells(self) -> int:
        return max(1, _MOST_PIXELS // self.patch_multiple**2)

    def possible_grid(self, level: TapLevel, frames: int, height: int, width: int) -> Grid:
        if level == "pixel":
            return Grid(frames, height, width)
        steps = (frames - 1) // self.shape.frames_per_step + 1
        return Grid(steps, height // self.patch_multiple, width // self.patch_multiple)

    # One forward pass.

    def preprocess(
        self,
        clips: Sequence[np.ndarray],
        media: PromptMedia,
        texts: Sequence[str] | None = None,  # noqa: ARG002 - it has no prompt
        times: Sequence[ClipTimes | None] | None = None,  # noqa: ARG002 - nor times
    ) -> dict[str, torch.Tensor]:
        self.check_clips(clips, media)
        pixels = [torch.from_numpy(np.ascontiguousarray(clip)).flatten() for clip in clips]
        return {"pixels": torch.cat(pixels), "sizes": torch.tensor([clip.shape[:3] for clip in clips])}

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, torch.Tensor], points: Sequence[str]) -> dict[str, list[torch.Tensor]]:
        """Encodes, and decodes where that is asked for. Raises `UnknownName`, `UsageError`, `ModelError`."""
        parsed = [Point.parse(text) for text in points]
        self._check_loaded(parsed)
        sizes = [tuple(size) for size in inputs["sizes"].tolist()]
        clips = torch.split(inputs["pixels"], [frames * height * width * 3 for frames, height, width in sizes])
        encoded = [self._encode(clip.view(*size, 3)) for clip, size in zip(clips, sizes, strict=True)]
        tokens = self.raster_tokens(self.taps[0], encoded)
        grids = [self.possible_grid("patch", *size) for size in sizes]
        counts.check_samples([len(sample) for sample in tokens], grids, LATENT)
        values = {
            str(Point(LATENT)): lambda: tokens,
            str(Point(LATENT, "mean")): lambda: readouts.mean(tokens),
            str(Point(LATENT, "last_vision")): lambda: readouts.last(tokens),
            RECONSTRUCTION: lambda: [
                self.decode(sample, grid).flatten(0, 2) for sample, grid in zip(tokens, grids, strict=True)
            ],
        }
        return {str(point): values[str(point)]() for point in parsed}

    def raster_tokens(self, tap: Tap, encoded: Sequence[torch.Tensor]) -> list[torch.Tensor]:  # noqa: ARG002 - the one
        """Returns latents [D, T, H, W] of samples as tokens [N, D] in raster order."""
        return [latent.flatten(1).T.contiguous() for latent in encoded]

    @torch.inference_mode()
    def decode(self, tokens_ND: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Returns the picture, uint8 [T, H, W, 3], that the decoder makes of the tokens of `vae.latent` on their grid.

        Of tokens as a cache has them it is the `vae.reconstruction` beside them. Where the model is conditioned on a
        timestep, and where its decoder injects noise, that noise is drawn anew from one seed for each sample. Raises
        `FeatureError` where what is decoded is not finite.
        """
        latent_DTHW = tokens_ND.to(self.device).float().T.reshape(self.shape.channels, *grid)
        latent_DTHW = self._normalisation.undone(latent_DTHW)
        return latents.decoded(self.model, latent_DTHW, is_conditioned=self.shape.is_conditioned)

    def _encode(self, clip_THWC: torch.Tensor) -> torch.Tensor:
        """Returns the normalised mean of the posterior, [D, T, H, W], in the model's number type."""
        frames_CTHW = clip_THWC.to(self.device, non_blocking=True).permute(3, 0, 1, 2).float() / 255 * 2 - 1
        posterior = self.model.encode(frames_CTHW[None].to(self.model.dtype)).latent_dist
        return self._normalisation.applied(posterior.mode()[0].float()).to(self.model.dtype)

    def check_points(self, points: Sequence[Point]) -> None:
        super().check_points(points)
        for point in points:
            if point.tap == RECONSTRUCTION and point.readout != "tokens":
                raise UsageError(f"{point} is not possible: {RECONSTRUCTION} is a picture and kept whole")

    def _check_loaded(self, points: Sequence[Point]) -> None:
        for point in points:
            if point.tap not in (LATENT, RECONSTRUCTION):
                raise UnknownName("tap", point.tap, [tap.name for tap in self.taps])
        self.check_points(points)
        wanted = {point.tap for point in points}
        if self.model is None or (RECONSTRUCTION in wanted and isinstance(self.model.decoder, loading.NotLoaded)):
            raise ModelError(f"{max(wanted)} was not loaded; load the model with all taps that are to be read")


def _tiny_config(text: str) -> Config:
    """Returns the configuration of `ltx_vae` or `ltx_vae-<kind>`."""
    return _TINY_KINDS[text.partition("-")[2]]


def _check_options(options: LoadOptions) -> None:
    """Raises `UsageError` for options that say nothing to a VAE, so that no two fingerprints tell of them."""
    for flag, is_told in {
        "--attn": options.attention != LoadOptions().attention,
        "--compile": options.compiled,
        "--device-map auto": options.device_map != "one",
    }.items():
        if is_told:
            raise UsageError(f"{flag} is not possible for {Family.family}, which is one network of convolutions")
