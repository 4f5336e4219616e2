"""The picture itself, drawn from its features."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.features.patches import cell_of, grid_of, patchify, unpatchify
from foresight_probes.metrics.edges import clip_edge_f1, edge_map
from foresight_probes.metrics.gram import gram_distance
from foresight_probes.metrics.images import WINDOW, psnr, ssim
from foresight_probes.metrics.perceptual import LEAST_SIDE, PerceptualDistance
from foresight_probes.metrics.resamples import mean
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import TaskContext

NAMES = ("psnr", "ssim", "lpips", "edge_f1", "gram_distance")
"""Metrics, in the order of a sample's scores."""


class Task(tasks.Task):
    """Each token's values are the pixels of its cell, from 0 to 1; the mean squared error.

    Values outside of 0 to 1 are cut in the evaluation. Metrics of a clip are means over its frames. `lpips` and
    `gram_distance` look through a pretrained classifier and are not measured without its weights.
    """

    heads = ("token-linear", "global-linear", "conv-decoder")
    primary = "psnr"
    constant_head = "global-linear"
    needs_arrays = ("pixels",)
    closed_form = "values"

    def __init__(self, setting: TaskContext) -> None:
        self._samples = setting.samples
        sides = [min(sample["grid_pixel"][1:]) for sample in setting.samples if sample.get("grid_pixel")]
        self._smallest = min(sides, default=0)
        self._distance: PerceptualDistance | None = None
        try:
            if self._smallest < LEAST_SIDE:
                raise ProbeError(f"LPIPS needs pictures of at least {LEAST_SIDE} pixels a side; use a larger --size")
            self._distance = PerceptualDistance(setting.lpips_net, setting.lpips_weights)
        except ProbeError as error:
            self.not_measured = dict.fromkeys(("lpips", "gram_distance"), f"{error}.")
        if self._smallest < WINDOW:
            reason = f"SSIM needs pictures of at least {WINDOW} pixels a side; use a larger --size."
            self.not_measured = {**self.not_measured, "ssim": reason}

    def outputs_for(self, *, width: int, grid: Grid) -> OutputSpec:  # noqa: ARG002 - pieces are as wide for any point
        cell = cell_of(self._samples, grid, channels=3)
        return OutputSpec(slots=1, channels=math.prod(cell), predicts=("per_token",), grid=grid, cell=cell)

    def has_target(self, sample: Mapping[str, Any]) -> bool:
        return bool(sample.get("grid_pixel"))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """uint8 [T, H, W, 3]."""
        return torch.from_numpy(np.array(sample["pixels"])) if "pixels" in sample else None

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        losses = []
        for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
            losses.append((pieces[: grid.tokens] - patchify(target, grid) / 255).square().mean())
        return torch.stack(losses).mean()

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:
        """[N, C] float32: the true pieces of the cells [N, 4]."""
        return patchify(target, grid_of(cells)) / 255

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """One value per name of `NAMES`, NaN where it is not measured."""
        return np.array([self._score(*pair) for pair in self._pairs(prediction, targets)])

    def selection_scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """The signal-to-noise ratio alone."""
        nothing = [math.nan] * (len(NAMES) - 1)
        return np.array([[psnr(*pair).mean().item(), *nothing] for pair in self._pairs(prediction, targets)])

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        return {name: mean(values, counts) for name, values in zip(NAMES, np.asarray(scores).T, strict=True)}

    def _pairs(self, prediction: Prediction, targets: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Per sample the found and the true frames, [T, 3, H, W] from 0 to 1."""
        pairs = []
        for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
            frames, height, width, channels = target.shape
            cell = (frames // grid.t, height // grid.h, width // grid.w, channels)
            found = unpatchify(pieces[: grid.tokens].clamp(0, 1), grid, cell)
            pairs.append((found.permute(0, 3, 1, 2), target.permute(0, 3, 1, 2) / 255))
        return pairs

    def _score(self, found: Tensor, truth: Tensor) -> list[float]:
        values: list[Tensor | float] = [psnr(found, truth), math.nan, math.nan, self._edges(found, truth), math.nan]
        if "ssim" not in self.not_measured:
            values[1] = ssim(found, truth)
        if self._distance:
            distance = self._distance.to(found.device)
            values[2] = distance(found, truth)
            values[4] = gram_distance(distance.maps(found), distance.maps(truth))
        return [float(value.mean()) if isinstance(value, Tensor) else value for value in values]

    def _edges(self, found: Tensor, truth: Tensor) -> float:
        maps = [[edge_map(frame) for frame in frames.permute(0, 2, 3, 1).cpu().numpy()] for frames in (found, truth)]
        return clip_edge_f1(*maps)
