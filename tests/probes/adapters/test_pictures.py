"""Measures of latents and of decoded clips, held to scikit-image and to plain sums."""

from typing import Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from foresight_probes.adapters.latent_scores import latent_summary
from foresight_probes.adapters.measuring import GAP, ORACLE, intervals
from foresight_probes.adapters.picture_scores import NAMES, clip_scores, source_over_time
from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.options import TrainingOptions


def clip(seed: int, frames: int = 4) -> np.ndarray:
    """A square that moves over grey, with noise."""
    draw = np.random.default_rng(seed)
    pictures = np.full((frames, 48, 48, 3), 90)
    for frame in range(frames):
        pictures[frame, 8 + 3 * frame : 24 + 3 * frame, 10:30] = (200, 40, 120)
    return (pictures + draw.normal(0, 6, pictures.shape)).clip(0, 255).astype(np.uint8)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Scikit-image's SSIM, with windows that lie inside alone."""
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    _, full = structural_similarity(  # type: ignore[no-untyped-call]
        one, other, channel_axis=-1, full=True, **settings
    )
    return float(full[5:-5, 5:-5].mean())


def test_each_frame_and_each_pair_of_neighbours() -> None:
    source, other = clip(0), clip(1)
    found = clip_scores(other, source)
    assert set(found.numbers) == set(NAMES)
    for frame in range(4):
        expected = peak_signal_noise_ratio(source[frame], other[frame], data_range=255)  # type: ignore[no-untyped-call]
        assert found.frames["psnr"][frame] == pytest.approx(expected, abs=1e-3)
        assert found.frames["ssim"][frame] == pytest.approx(similarity(source[frame], other[frame]), abs=1e-4)
    neighbours = np.mean([similarity(other[frame], other[frame + 1]) for frame in range(3)])
    assert found.numbers["neighbour_ssim"] == pytest.approx(neighbours, abs=1e-4)
    moved = np.diff(other.astype(float), axis=0) - np.diff(source.astype(float), axis=0)
    assert found.numbers["frame_difference_error"] == pytest.approx(np.abs(moved).mean() / 255, abs=1e-6)
    assert np.isnan(found.numbers["lpips"]), "nothing takes its place"


def test_flicker_and_standing_still_are_seen() -> None:
    source = clip(0)
    flicker, still = source.copy(), np.repeat(source[:1], 4, 0)
    flicker[1::2] = np.clip(flicker[1::2].astype(int) + 60, 0, 255)
    own = source_over_time(source)
    assert clip_scores(flicker, source).over_time["neighbour_ssim"] < own - 0.02
    assert clip_scores(still, source).over_time["neighbour_ssim"] == pytest.approx(1)
    for wrong in (flicker, still, source[::-1]):
        assert clip_scores(wrong, source).over_time["frame_difference_error"] > 0.02
    one = clip_scores(source[:1], source[:1])
    assert one.numbers["psnr"] == 100
    assert np.isnan(one.numbers["frame_difference_error"])


def test_r2_is_against_the_mean_latent() -> None:
    scores = np.array([[0.5, 0.1, 1.0], [1.0, 0.3, 3.0]])
    found = point_estimate(latent_summary, scores)
    assert found["r2"] == pytest.approx(1 - 1.5 / 4)
    assert found["mse"] == pytest.approx(0.75)
    assert found["cosine"] == pytest.approx(0.2)


def test_a_gap_is_of_the_same_clips() -> None:
    """An oracle that is better by exactly 2 dB on each clip: a gap without any spread, however much clips differ."""
    draw = np.random.default_rng(0)
    psnr = draw.uniform(10, 40, 20)
    table: dict[str, list[Any]] = {"group": [str(number) for number in range(20)]}
    for what in ("adapter", "mean_latent", ORACLE):
        table |= {f"{what}.{name}": draw.uniform(size=20).tolist() for name in NAMES}
    table |= {f"{what}.{name}": [1.0] * 20 for what in ("adapter", "mean_latent") for name in ("mse", "cosine")}
    table |= {"adapter.psnr": psnr.tolist(), f"{ORACLE}.psnr": (psnr + 2).tolist(), "source.neighbour_ssim": [0.5] * 20}
    found = intervals(table, TrainingOptions(resamples=100))
    gap = found[GAP]["psnr"]
    assert (gap.value, gap.low, gap.high) == pytest.approx((-2, -2, -2))
    assert found["adapter"]["psnr"].low < found["adapter"]["psnr"].value - 1
    assert found[GAP]["ssim"].low < 0, "a difference of shares may be negative"
