"""Closeness of pictures to the true ones, pixel by pixel and by local structure.

Pictures are float tensors [B, C, H, W] from 0 to 1. For the perceptual distance see `perceptual`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.errors import ProbeError

LEAST_ERROR = 1e-10
"""Mean squared error below which pictures count as equal: 100 dB, so that equal pictures have a finite ratio."""

WINDOW, SIGMA = 11, 1.5
"""Side of SSIM's window and width of its Gaussian, in pixels."""

LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""SSIM's constants C1 and C2 for values from 0 to 1, which keep its quotients from being of two zeros."""


def psnr(pictures_BCHW: Tensor, truth_BCHW: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio of each picture in dB, [B], at most 100.

    10 log10(peak² / mean squared error) with a peak of 1 (ITU-T J.340).

    >>> psnr(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.1)).round(decimals=3).tolist()
    [20.0]
    """
    return -10 * (pictures_BCHW - truth_BCHW).square().mean((1, 2, 3)).clamp(min=LEAST_ERROR).log10()


def ssim(pictures_BCHW: Tensor, truth_BCHW: Tensor) -> Tensor:
    """Returns the structural similarity of each picture, [B], at most 1.

    The mean of SSIM over all Gaussian windows that lie wholly inside the picture and over the colour channels, with
    window and constants of Wang et al., "Image quality assessment: from error visibility to structural similarity"
    (IEEE TIP 2004), equation 13. torchmetrics does the same with a window of two dimensions, which takes many times as
    long, and lets windows cross the border. Raises `ProbeError` for pictures with a side under 11 pixels.
    """
    if min(truth_BCHW.shape[-2:]) < WINDOW:
        height, width = truth_BCHW.shape[-2:]
        raise ProbeError(
            f"SSIM looks through windows of {WINDOW}×{WINDOW} pixels, but the pictures have {height}×{width}; "
            "extract with a larger --size"
        )
    elsewhere = pictures_BCHW.device.type == "mps"  # which has no float64
    one, other = ((pictures.cpu() if elsewhere else pictures).double() for pictures in (pictures_BCHW, truth_BCHW))
    means = _windows(torch.stack([one, other, one * one, other * other, one * other]))
    mean, true_mean = means[0], means[1]
    variance, true_variance, covariance = means[2] - mean**2, means[3] - true_mean**2, means[4] - mean * true_mean
    luminance = (2 * mean * true_mean + LUMINANCE) / (mean**2 + true_mean**2 + LUMINANCE)
    structure = (2 * covariance + CONTRAST) / (variance + true_variance + CONTRAST)
    return (luminance * structure).mean((1, 2, 3)).float()


def _windows(maps: Tensor) -> Tensor:
    """Returns weighted means [..., H - 10, W - 10] over all windows of maps, first along columns, then rows."""
    distance = torch.arange(WINDOW, dtype=maps.dtype, device=maps.device) - WINDOW // 2
    weights = torch.exp(-(distance**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    along = functional.conv2d(functional.conv2d(flat, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return along.reshape(*maps.shape[:-2], *along.shape[-2:])
