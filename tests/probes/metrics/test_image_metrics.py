"""PSNR and SSIM against scikit-image, on real photographs and on noise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from foresight_cache.errors import ProbeError
from foresight_probes.metrics.image_metrics import psnr, ssim


def pairs(assets: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures [H, W, 3] from 0 to 1: a photograph against two distortions and noise."""
    folder = assets / "models" / "lpips" / "reference_images"
    truth, *others = (np.asarray(Image.open(folder / f"ex_{name}.png").convert("RGB")) for name in ("ref", "p0", "p1"))
    noise = np.random.default_rng(0).random(truth.shape).astype(np.float32)
    return [(picture / np.float32(255), truth / np.float32(255)) for picture in others] + [
        (noise, truth / np.float32(255))
    ]


def stacked(pictures: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def test_they_equal_scikit_image(assets: Path) -> None:
    some = pairs(assets)
    found, truth = (stacked(list(pictures)) for pictures in zip(*some, strict=True))
    for place, (one, other) in enumerate(some):
        assert psnr(found, truth)[place].item() == pytest.approx(
            peak_signal_noise_ratio(other, one, data_range=1), abs=1e-4
        )
        reference = structural_similarity(
            *(picture.astype(np.float64) for picture in (other, one)),
            **{"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
            data_range=1.0,
        )
        assert ssim(found, truth)[place].item() == pytest.approx(reference, abs=1e-5)


def test_equal_pictures_have_the_best_values() -> None:
    picture = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    assert psnr(picture, picture).tolist() == [100, 100]
    assert ssim(picture, picture).tolist() == pytest.approx([1, 1])


def test_pictures_that_are_smaller_than_the_window() -> None:
    with pytest.raises(ProbeError, match="windows of 11×11 pixels, but the pictures have 10×40; extract with a larger"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))
    assert ssim(torch.zeros(1, 3, 11, 11), torch.zeros(1, 3, 11, 11)).tolist() == [1.0]
