"""The order contract, proved against the model run by hand. Nothing here knows how the order is corrected.

Each proof takes an encoder, the reference of its family, and clips, and fails with an `AssertionError` where a token
is not at its place. References work with plain loops and crops.
"""

from collections.abc import Sequence
from types import ModuleType

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
    "clip": ("clip", ((4, 5, 6),)),
    "clip of odd length": ("clip", ((5, 2, 7),)),
    "mixed clips": ("clip", ((4, 5, 3), (1, 2, 6), (7, 3, 5))),
}
"""Media and sizes: frames, height and width in multiples of the family's smallest size."""


def make(encoder: Encoder, batch: str) -> tuple[list[np.ndarray], Media]:
    """Noise, so that no two patches are alike."""
    media, sizes = BATCHES[batch]
    draw = np.random.default_rng(len(batch))
    side = encoder.patch_multiple
    return [draw.integers(0, 256, (t, h * side, w * side, 3), dtype=np.uint8) for t, h, w in sizes], media


def tokens(encoder: Encoder, clips: Sequence[np.ndarray], media: Media, *taps: str) -> dict[str, list[torch.Tensor]]:
    return encoder.forward(encoder.preprocess(clips, media), taps)


def prove_patch_embedding(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """The token at raster index i is the patch embedding of the crop at i."""
    found = tokens(encoder, clips, media, "vit.patch_embed")["vit.patch_embed"]
    for clip, sample in zip(clips, found, strict=True):
        grid = encoder.grid("patch", *clip.shape[:3])
        assert len(sample) == grid.tokens
        crops = [(t, y, x) for t in range(grid.t) for y in range(grid.h) for x in range(grid.w)]
        expected = torch.stack([reference.embed_crop(encoder, clip, *crop) for crop in crops])
        assert_close(sample, expected, rtol=1e-4, atol=1e-4)


def prove_merger(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Tokens before the merger, grouped 2×2 by plain indexing, give the model's own merged tokens."""
    found = tokens(encoder, clips, media, "vit.pre_merge", "vit.post_merge")
    own = reference.own_merged(encoder, clips, media)
    for clip, before, after, model in zip(clips, found["vit.pre_merge"], found["vit.post_merge"], own, strict=True):
        grid = encoder.grid("patch", *clip.shape[:3])
        merged = reference.merge(encoder, before.reshape(*grid, -1))
        assert_close(merged, model, rtol=1e-4, atol=1e-4)
        assert_close(after, model, rtol=1e-4, atol=1e-4)


def prove_tower(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """With full attention in all blocks, a tower that permutes and one that does not compute the same tokens."""
    taps = [tap.name for tap in encoder.taps if tap.name.startswith("vit.")]
    with reference.full_attention(encoder):
        found = tokens(encoder, clips, media, *taps)
        expected = reference.tower_without_windows(encoder, clips, media)
    for tap in taps:
        for sample, other in zip(found[tap], expected[tap], strict=True):
            assert_close(sample, other, rtol=1e-3, atol=1e-3, msg=lambda text, tap=tap: f"{tap}: {text}")


def prove_windowed_tower(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """The tower as it is: each token resembles the token at its own place of the tower without windows most."""
    taps = [tap.name for tap in encoder.taps if tap.name.startswith("vit.")]
    found = tokens(encoder, clips, media, *taps)
    expected = reference.tower_without_windows(encoder, clips, media)
    for tap in taps:
        for sample, other in zip(found[tap], expected[tap], strict=True):
            likeness = normalize(sample - sample.mean(0), dim=1) @ normalize(other - other.mean(0), dim=1).T
            at_home = (likeness.argmax(1) == torch.arange(len(sample))).float().mean()
            assert at_home > 0.9, f"{tap}: only {at_home:.0%} of the tokens are at home"


def prove_language_model(encoder: Encoder, reference: ModuleType, clips: Sequence[np.ndarray], media: Media) -> None:
    """Each layer equals the model's own hidden states for the whole prompt; its last entry is after the norm."""
    taps = [tap.name for tap in encoder.taps if tap.name.startswith("llm.")]
    found = tokens(encoder, clips, media, *taps)
    states = reference.hidden_states(encoder, clips, media)
    embed, *layers, norm = taps
    for index, tap in enumerate([embed, *layers[:-1], norm]):
        for sample, other in zip(found[tap], states[index], strict=True):
            assert_close(sample, other, rtol=1e-3, atol=1e-3, msg=lambda text, tap=tap: f"{tap}: {text}")
    for last, after in zip(found[layers[-1]], states[-1], strict=True):
        assert not torch.allclose(last, after, atol=1e-2), "the last layer was captured after the norm"
        assert_close(reference.final_norm(encoder, last), after, rtol=1e-3, atol=1e-3)


PROOFS = {
    "patch embedding": prove_patch_embedding,
    "merger": prove_merger,
    "tower": prove_tower,
    "windowed tower": prove_windowed_tower,
    "language model": prove_language_model,
}
