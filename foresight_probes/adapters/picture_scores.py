"""How near decoded clips are to their source, frame by frame and from each frame to the next."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foresight_probes.metrics import Scores
from foresight_probes.metrics.edge_metrics import edge_f1, edge_map
from foresight_probes.metrics.image_metrics import psnr, ssim
from foresight_probes.metrics.perceptual import PerceptualDistance
from foresight_probes.metrics.resamples import mean

OF_FRAMES = ("psnr", "ssim", "lpips", "edge_f1")
"""Measures that each frame has; a clip has their mean."""
OVER_TIME = ("neighbour_ssim", "frame_difference_error")
"""Measures of neighbouring frames: their SSIM, which the source has too, and the error of their difference."""
NAMES = (*OF_FRAMES, *OVER_TIME)
_FRAMES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Measures of one decoded clip beside its source."""

    frames: Mapping[str, np.ndarray]
    """By name of `OF_FRAMES`, [T] float64; NaN where it is not measured."""
    over_time: Mapping[str, float]
    """By name of `OVER_TIME`; NaN of a clip of one frame."""

    @property
    def numbers(self) -> dict[str, float]:
        """One number for each of `NAMES`."""
        return {**{name: float(values.mean()) for name, values in self.frames.items()}, **self.over_time}


def clip_scores(
    clip_THWC: np.ndarray, source_THWC: np.ndarray, distance: PerceptualDistance | None = None
) -> ClipScores:
    """Compares a clip with its source, both uint8 RGB.

    `neighbour_ssim` is the mean SSIM of each frame and the next one; it is to be compared with that of the source:
    flicker lowers it, and blur, or a clip that stands still, raises it. `frame_difference_error` is the mean absolute
    error of the difference of neighbouring frames, as a share of the range of levels.
    """
    clip, source = _pictures(clip_THWC), _pictures(source_THWC)
    edges = [edge_f1(edge_map(one), edge_map(other)) for one, other in zip(clip_THWC, source_THWC, strict=True)]
    lpips = _lpips(distance, clip, source) if distance else np.full(len(clip), np.nan)
    frames = {
        "psnr": psnr(clip, source).double().numpy(),
        "ssim": ssim(clip, source).double().numpy(),
        "lpips": lpips,
        "edge_f1": np.array(edges),
    }
    return ClipScores(frames, {name: float("nan") for name in OVER_TIME} if len(clip) < 2 else _over_time(clip, source))


def neighbour_ssim(clip_TCHW: Tensor) -> float:
    """Returns the mean SSIM of each frame and the next one."""
    return float(ssim(clip_TCHW[1:], clip_TCHW[:-1]).double().mean())


def source_over_time(source_THWC: np.ndarray) -> float:
    """Returns `neighbour_ssim` of a source, NaN of one frame."""
    return neighbour_ssim(_pictures(source_THWC)) if len(source_THWC) > 1 else float("nan")


def picture_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the mean of each of `NAMES` over clips, of scores [S, 6]."""
    return {name: mean(values, counts_RS) for name, values in zip(NAMES, np.asarray(scores).T, strict=True)}


def _lpips(distance: PerceptualDistance, clip: Tensor, source: Tensor) -> np.ndarray:
    device = next(distance.parameters()).device
    starts = range(0, len(clip), _FRAMES_AT_ONCE)
    parts = [distance(*(own[at : at + _FRAMES_AT_ONCE].to(device) for own in (clip, source))) for at in starts]
    values: np.ndarray = torch.cat(parts).double().cpu().numpy()
    return values


def _over_time(clip: Tensor, source: Tensor) -> dict[str, float]:
    error = (clip.diff(dim=0) - source.diff(dim=0)).abs().double().mean()
    return {"neighbour_ssim": neighbour_ssim(clip), "frame_difference_error": float(error)}


def _pictures(clip_THWC: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(clip_THWC)).permute(0, 3, 1, 2).float() / 255
