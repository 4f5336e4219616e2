"""The order contract, proved against the model run by hand. Nothing here knows how the order is corrected.

Each proof takes an encoder, the reference of its kind of family, and clips, and fails with an `AssertionError` where a
token is not at its position. References work with plain loops, crops and the model's own calls. A family without a
merger or without a language model has nothing to prove there.
"""

from collections.abc import Sequence
from math import isqrt
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from foresight_cache.encoders import Encoder
from foresight_cache.samples import Media

BATCHES: dict[str, tuple[Media, tuple[tuple[int, int, int], ...]]] = {
    "one unit": ("image", ((1, 1, 1),)),
    "square": ("image", ((1, 8, 8),)),
    "wide": ("image", ((1, 3, 14),)),
    "tall": ("image", ((1, 13, 2),)),
    "ragged windows": ("image", ((1, 5, 9),)),
    "mixed sizes": ("image", ((1, 5, 6), (1, 2, 9), (1, 8, 4), (1, 5, 6))),
    "three of a size": ("image", ((1, 3, 4),) * 3),
    "eight": ("image", ((1, 2, 3), (1, 2, 3), (1, 4, 1), (1, 3, 3), (1, 2, 3), (1, 1, 2), (1, 3, 3), (1, 2, 3))),
    "clip": ("clip", ((4, 5, 6),)),
    "clip of odd length": ("clip", ((5, 2, 7),)),
    "mixed clips": ("clip", ((4, 5, 3), (1, 2, 6), (7, 3, 5))),
}
"""Media and sizes: frames, height and width in multiples of the family's smallest size."""


def make(encoder: Encoder, batch: str) -> tuple[list[np.ndarray], Media]:
    """Makes noise, so that no two patches are alike; of the nearest possible size where a family does not take any."""
    media, sizes = BATCHES[batch]
    draw = np.random.default_rng(len(batch))
    side = encoder.patch_multiple
    clips = [
        draw.integers(0, 256, (encoder.nearest_frames(t), *encoder.nearest_size(h * side, w * side), 3), dtype=np.uint8)
        for t, h, w in sizes
    ]
    return clips, media


def has(encoder: Encoder, *taps: str) -> bool:
    return {*taps} <= {tap.name for tap in encoder.taps}


def tokens(encoder: Encoder, clips: Sequence[np.ndarray], media: Media, *taps: str) -> dict[str, list[torch.Tensor]]:
    return encoder.forward(encoder.preprocess(clips, media), taps)


def prove_patch_embedding(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Proves that the token at raster index i is the patch embedding of the crop at i."""
    if not has(encoder, "vit.patch_embed"):
        return
    captured = tokens(encoder, clips, media, "vit.patch_embed")["vit.patch_embed"]
    for clip, sample in zip(clips, captured, strict=True):
        grid = encoder.grid("patch", *clip.shape[:3])
        assert len(sample) == grid.tokens
        crops = [(t, y, x) for t in range(grid.t) for y in range(grid.h) for x in range(grid.w)]
        expected = torch.stack([embed_crop(encoder, clip, media, *crop) for crop in crops])
        assert_close(sample, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def embed_crop(encoder: Any, clip: np.ndarray, media: Media, t: int, y: int, x: int) -> torch.Tensor:
    """Applies the weights of the model's first layer to one crop of its size, normalised by hand."""
    first = first_layer(encoder)
    weight = first.weight
    is_linear = weight.dim() == 2  # of patches that were cut out before
    side = isqrt(weight.shape[1] // 3) if is_linear else weight.shape[-1]
    steps = weight.shape[2] if weight.dim() == 5 else 1
    frames = [clip[min(steps * t + step, len(clip) - 1)] for step in range(steps)]
    rows, columns = slice(side * y, side * y + side), slice(side * x, side * x + side)
    crop = torch.from_numpy(np.stack([frame[rows, columns] for frame in frames]))
    settings = encoder.processor
    if encoder.takes_prompt:
        settings = settings.image_processor if media == "image" else settings.video_processor
    normal = (crop / 255 - torch.tensor(settings.image_mean)) / torch.tensor(settings.image_std)
    # [frame, row, column, channel], of which a convolution has the channels first
    pixels = normal if is_linear else normal.permute(3, 0, 1, 2)
    seen = weight.flatten(1) @ pixels.flatten()
    return seen if first.bias is None else seen + first.bias


def first_layer(encoder: Any) -> Any:
    """The first convolution, or without one the first linear map."""
    for kinds in ((torch.nn.Conv2d, torch.nn.Conv3d), (torch.nn.Linear,)):
        found = next((module for module in encoder.model.modules() if isinstance(module, kinds)), None)
        if found is not None:
            return found
    raise AssertionError(f"{encoder.family} has no layer that embeds patches")


def prove_merger(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Proves that tokens before the merger, grouped by plain indexing, give the model's own merged tokens."""
    if not has(encoder, "vit.post_merge"):
        return
    captured = tokens(encoder, clips, media, "vit.pre_merge", "vit.post_merge")
    own = reference.own_merged(encoder, clips, media)
    for clip, before, after, model in zip(
        clips, captured["vit.pre_merge"], captured["vit.post_merge"], own, strict=True
    ):
        grid = encoder.grid("patch", *clip.shape[:3])
        merged = reference.merge(encoder, before.reshape(*grid, -1))
        assert_close(merged, model, rtol=1e-4, atol=1e-4)
        assert_close(after, model, rtol=1e-4, atol=1e-4)


def prove_tower(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Proves that a tower that permutes and one that does not compute the same tokens, with full attention."""
    taps = [tap.name for tap in encoder.taps if tap.name.startswith(("vit.", "vae.latent"))]
    with reference.full_attention(encoder):
        captured = tokens(encoder, clips, media, *taps)
        expected = reference.tower_without_windows(encoder, clips, media)
    for tap in expected:
        for sample, other in zip(captured[tap], expected[tap], strict=True):
            assert_close(sample, other, rtol=1e-3, atol=1e-3, msg=lambda text, tap=tap: f"{tap}: {text}")


def prove_windowed_tower(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Proves that each token of the tower as it is most resembles the one at its own position without windows."""
    taps = [tap.name for tap in encoder.taps if tap.name.startswith(("vit.", "vae.latent"))]
    captured = tokens(encoder, clips, media, *taps)
    expected = reference.tower_without_windows(encoder, clips, media)
    for tap in expected:
        for sample, other in zip(captured[tap], expected[tap], strict=True):
            likeness = normalize(sample - sample.mean(0), dim=1) @ normalize(other - other.mean(0), dim=1).T
            at_home = (likeness.argmax(1) == torch.arange(len(sample))).float().mean()
            assert at_home > 0.9, f"{tap}: only {at_home:.0%} of the tokens are at home"


def prove_language_model(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Proves that layers equal the model's own hidden states for the whole prompt, of which the last is normed."""
    if not has(encoder, "llm.embed"):
        return
    taps = [tap.name for tap in encoder.taps if tap.name.startswith("llm.")]
    captured = tokens(encoder, clips, media, *taps)
    states = reference.hidden_states(encoder, clips, media)
    embed, *layers, norm = taps
    for index, tap in enumerate([embed, *layers[:-1], norm]):
        for sample, other in zip(captured[tap], states[index], strict=True):
            assert_close(sample, other, rtol=1e-3, atol=1e-3, msg=lambda text, tap=tap: f"{tap}: {text}")
    for last, after in zip(captured[layers[-1]], states[-1], strict=True):
        assert not torch.allclose(last, after, atol=1e-2), "the last layer was captured after the norm"
        assert_close(reference.final_norm(encoder, last), after, rtol=1e-3, atol=1e-3)


PROOFS = {
    "patch embedding": prove_patch_embedding,
    "merger": prove_merger,
    "tower": prove_tower,
    "windowed tower": prove_windowed_tower,
    "language model": prove_language_model,
}
