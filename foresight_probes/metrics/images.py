"""How close a picture is to the true one, pixel by pixel and by local structure.

Pictures are float tensors [B, C, H, W] from 0 to 1. For the perceptual distance see `perceptual`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.errors import ProbeError

LEAST_ERROR = 1e-10
"""Mean squared error below which pictures count as equal: 100 dB, so that equal pictures have a finite ratio."""

WINDOW, SIGMA = 11, 1.5
"""Pixels along the side of SSIM's window, a Gaussian of this width."""

LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""SSIM's constants, which keep its quotients from being of two zeros."""


def psnr(found: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, [B]: -10 log10 of the mean squared error; at most 100.

    >>> psnr(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.1)).round(decimals=3).tolist()
    [20.0]
    """
    return -10 * (found - truth).square().mean((1, 2, 3)).clamp(min=LEAST_ERROR).log10()


def ssim(found: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each picture, [B], at most 1.

    The mean of SSIM over all Gaussian windows that lie wholly inside the picture and over the colour channels, with
    window and constants of Wang et al., "Image quality assessment: from error visibility to structural similarity"
    (IEEE TIP 2004). torchmetrics does the same with a window of two dimensions, which takes many times as long, and
    lets windows cross the border. Raises `ProbeError` for pictures with a side under 11 pixels.
    """
    if min(truth.shape[-2:]) < WINDOW:
        height, width = truth.shape[-2:]
        raise ProbeError(
            f"SSIM looks through windows of {WINDOW}×{WINDOW} pixels, but the pictures have {height}×{width}; "
            "extract with a larger --size."
        )
    elsewhere = found.device.type == "mps"  # which has no float64
    one, other = ((each.cpu() if elsewhere else each).double() for each in (found, truth))
    means = _windows(torch.stack([one, other, one * one, other * other, one * other]))
    mean, true_mean = means[0], means[1]
    variance, true_variance, covariance = means[2] - mean**2, means[3] - true_mean**2, means[4] - mean * true_mean
    luminance = (2 * mean * true_mean + LUMINANCE) / (mean**2 + true_mean**2 + LUMINANCE)
    structure = (2 * covariance + CONTRAST) / (variance + true_variance + CONTRAST)
    return (luminance * structure).mean((1, 2, 3)).float()


def _windows(maps: Tensor) -> Tensor:
    """Weighted means [..., H - 10, W - 10] over all windows of maps [..., H, W], first along columns, then rows."""
    distance = torch.arange(WINDOW, dtype=maps.dtype, device=maps.device) - WINDOW // 2
    weights = torch.exp(-(distance**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    along = functional.conv2d(functional.conv2d(flat, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return along.reshape(*maps.shape[:-2], *along.shape[-2:])
