"""Views of tokens for people: how alike they are to one of them, and their main directions as colours."""

from typing import Any

import numpy as np

from foresight_cache.errors import UsageError

CLIPPED = 0.01
"""Share of tokens at each end of a direction that get the same colour as the next ones: a few tokens of a vision
transformer are far from all others, and would leave no colour to these."""


def similarity_map(tokens_THWD: np.ndarray, *, y: int, x: int, t: int = 0) -> np.ndarray:
    """Returns the cosine similarity of all tokens of a sample to the one at (t, y, x), float64 [T, H, W] from -1 to 1.

    It is NaN where a token is zero. Raises `UsageError` for another shape and for a place that is not on the grid.

    >>> tokens = np.array([[3.0, 4.0], [-3.0, -4.0], [8.0, -6.0]]).reshape(1, 1, 3, 2)
    >>> similarity_map(tokens, y=0, x=0).round(6).tolist()
    [[[1.0, -1.0, 0.0]]]
    """
    tokens = _floats(tokens_THWD)
    if tokens.ndim != 4:
        raise UsageError(f"tokens have the shape {tokens.shape}, expected [t, h, w, channels] as point.grid(i) returns")
    for axis, place, size in zip("tyx", (t, y, x), tokens.shape, strict=False):
        if not 0 <= place < size:
            raise UsageError(f"{axis} is {place}, expected 0 to {size - 1}, a place on the sample's grid")
    lengths = np.linalg.norm(tokens, axis=-1)
    with np.errstate(invalid="ignore"):
        alike: np.ndarray = tokens @ tokens[t, y, x] / (lengths * lengths[t, y, x])
    return alike.clip(-1, 1)


def principal_colours(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first three principal components of tokens as red, green and blue, and the share that each explains.

    All tokens that are given share one basis, so that those of several samples can be compared. A component is scaled
    so that its 1st and 99th percentiles are 0 and 1; its sign is such that the channel with the largest weight is
    positive. Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023), figure 1, shows
    tokens so.

    Args:
        tokens: [..., D], such as [T, H, W, D] of one sample or [B, T, H, W, D] of several; D is at least 3.

    Returns: Colours [..., 3] float64 from 0 to 1, and shares of the variance [3].

    Raises: `UsageError` for fewer than four tokens or three channels, and for numbers that are not finite.
    """
    values = _floats(tokens)
    width = values.shape[-1] if values.ndim else 0
    if values.ndim < 2 or width < 3 or values.size < 4 * width:
        raise UsageError(f"tokens have the shape {values.shape}, expected at least 4 tokens of 3 channels, [..., D]")
    if not np.isfinite(values).all():
        raise UsageError("tokens have numbers that are not finite, which have no principal components; leave them out")
    flat_ND = values.reshape(-1, width)
    centred_ND = flat_ND - flat_ND.mean(0)
    _, lengths, axes_KD = np.linalg.svd(centred_ND, full_matrices=False)
    axes_D3 = axes_KD[:3].T
    axes_D3 = axes_D3 * np.sign(axes_D3[np.abs(axes_D3).argmax(0), range(3)])
    components_N3 = centred_ND @ axes_D3
    low, high = np.quantile(components_N3, [CLIPPED, 1 - CLIPPED], axis=0)
    span = np.where(high > low, high - low, 1.0)
    colours_N3 = ((components_N3 - low) / span).clip(0, 1)
    shares = lengths[:3] ** 2 / max((lengths**2).sum(), np.finfo(np.float64).tiny)
    return colours_N3.reshape(*values.shape[:-1], 3), shares


def _floats(tokens: Any) -> np.ndarray:
    return np.asarray(tokens).astype(np.float64)
