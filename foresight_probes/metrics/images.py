"""How close a picture is to the true one, pixel by pixel and by local structure.

Pictures are float tensors [B, C, H, W] from 0 to 1. For the perceptual distance see `perceptual`.
"""

from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from foresight_cache.errors import ProbeError

LEAST_ERROR = 1e-10
"""Mean squared error below which pictures count as equal: 100 dB, so that equal pictures have a finite ratio."""

WINDOW = 11
"""Pixels along the side of SSIM's window: a Gaussian of sigma 1.5, cut at 3.5 sigma."""


def psnr(found: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, [B]: -10 log10 of the mean squared error; at most 100.

    >>> import torch
    >>> psnr(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.1)).round(decimals=3).tolist()
    [20.0]
    """
    return -10 * (found - truth).square().mean((1, 2, 3)).clamp(min=LEAST_ERROR).log10()


def ssim(found: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each picture, [B], at most 1.

    The mean of SSIM over all Gaussian windows that lie wholly inside the picture and over the colour channels, with
    the constants of Wang et al., "Image quality assessment: from error visibility to structural similarity" (IEEE
    TIP 2004). Raises `ProbeError` for pictures with a side under 11 pixels.
    """
    if min(truth.shape[-2:]) < WINDOW:
        height, width = truth.shape[-2:]
        raise ProbeError(
            f"SSIM looks through windows of {WINDOW}×{WINDOW} pixels, but the pictures have {height}×{width}; "
            "extract with a larger --size."
        )
    _, windows = structural_similarity_index_measure(
        found.double(), truth.double(), sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    inside = slice(WINDOW // 2, -(WINDOW // 2))  # torchmetrics mirrors the picture at its border; Wang et al. do not
    similarity: Tensor = windows[..., inside, inside].mean((1, 2, 3))
    return similarity.float()
