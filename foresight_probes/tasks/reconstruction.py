"""The picture itself, drawn from its features."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.geometry import shown
from foresight_probes.batches import Prediction
from foresight_probes.constant_answer import Answered, ConstantAnswer
from foresight_probes.features.patches import grid_of
from foresight_probes.metrics import Scores
from foresight_probes.metrics.edge_metrics import clip_edge_f1, edge_map
from foresight_probes.metrics.gram import gram_distance
from foresight_probes.metrics.image_metrics import WINDOW, psnr, ssim
from foresight_probes.metrics.perceptual import LEAST_SIDE, PerceptualDistance
from foresight_probes.metrics.resamples import mean
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.picture import Picture, drawn, framed, known_pieces, mean_picture, pieces_of

NAMES = ("psnr", "ssim", "lpips", "edge_f1", "gram_distance")
"""Metrics, in the order of a sample's scores."""

NEGATIVE_LOSS = "negative_loss"
"""Metric by which the epoch is selected where the loss is more than the squared error."""


class Task(Picture):
    """Predicts, with each token, the pixels of its cell, from 0 to 1, by the mean squared error.

    Values outside of 0 to 1 are cut in the evaluation. Metrics of a clip are means over its frames. `lpips` and
    `gram_distance` look through a pretrained classifier and are not measured without its weights. With a
    `perceptual_weight` the loss has that times LPIPS added, and the first metric is the negative of this sum.
    """

    heads = ("token-linear", "global-linear", "conv-decoder")
    primary = "psnr"
    metric_names: tuple[str, ...] = NAMES
    closed_form: Literal["values"] | None = "values"
    channels = 3

    def __init__(self, context: TaskContext) -> None:
        super().__init__(context)
        pictures = [shown(sample) for sample in context.samples if sample.get("grid_pixel")]
        self._smallest = min((side.stop - side.start for sides in pictures for side in sides), default=0)
        self._distance: PerceptualDistance | None = None
        try:
            if self._smallest < LEAST_SIDE:
                raise ProbeError(f"LPIPS needs pictures of at least {LEAST_SIDE} pixels a side; use a larger --size")
            self._distance = PerceptualDistance(context.lpips_net, context.lpips_weights)
        except ProbeError as error:
            self.not_measured = dict.fromkeys(("lpips", "gram_distance"), f"{error}.")
        if self._smallest < WINDOW:
            reason = f"SSIM needs pictures of at least {WINDOW} pixels a side; use a larger --size."
            self.not_measured = {**self.not_measured, "ssim": reason}
        self._weight = context.perceptual_weight
        if self._weight:
            self._ask_for_more()

    def _ask_for_more(self) -> None:
        """Makes the loss one that no closed form has. Raises `UsageError` where LPIPS is not there."""
        if not self._distance and self._smallest:
            reason = self.not_measured["lpips"].rstrip(".")
            raise UsageError(f"perceptual_weight is {self._weight:g}, but LPIPS cannot be measured: {reason}")
        self.closed_form = None
        self.primary = NEGATIVE_LOSS
        self.metric_names = (NEGATIVE_LOSS, *NAMES)

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the pixels, uint8 [T, H, W, 3], as `Picture` tells."""
        return framed(torch.from_numpy(np.array(sample["pixels"])), sample) if "pixels" in sample else None

    def best_constant(self, targets: Answered) -> ConstantAnswer:
        """Returns the mean picture, the one of least squared error."""
        mean = mean_picture(targets, self.channels)
        return replace(mean, values=mean.values / 255)

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        losses = []
        for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
            truth, is_shown = pieces_of(target, grid, self.channels)
            errors = (pieces[: grid.tokens] - truth / 255).square()
            losses.append((errors if is_shown is None else errors[is_shown]).mean())
        if self._weight:
            losses += [self._weight * self._lpips(*pair) for pair in self._pairs(prediction, targets)]
        return torch.stack(losses).sum() / len(targets)

    def target_values(self, target: Tensor, cells: Tensor) -> Tensor:
        return known_pieces(target, grid_of(cells), self.channels) / 255

    def start_values(self, target: Tensor, cells: Tensor | None) -> Tensor:
        assert cells is not None, "pictures are drawn from cells"  # noqa: S101
        return self.target_values(target, cells)

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns one value per name of `metric_names`, NaN where it is not measured."""
        return np.array([self._score(*pair) for pair in self._pairs(prediction, targets)])

    def selection_scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """Returns the first metric, and NaN for the others."""
        nothing = [math.nan] * (len(self.metric_names) - 1)
        first = self._negative_loss if self._weight else _mean_psnr
        return np.array([[first(*pair), *nothing] for pair in self._pairs(prediction, targets)])

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        columns = zip(self.metric_names, np.asarray(scores).T, strict=True)
        return {name: mean(values, counts_RS) for name, values in columns}

    def _pairs(self, prediction: Prediction, targets: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the predicted and the true frames of each sample, [T, 3, H, W] from 0 to 1."""
        for picture_THWC, truth_THWC in drawn(prediction, targets, self.channels):
            yield picture_THWC.clamp(0, 1).permute(0, 3, 1, 2), truth_THWC.permute(0, 3, 1, 2) / 255

    def _score(self, pictures: Tensor, truth: Tensor) -> list[float]:
        values: list[Tensor | float] = [psnr(pictures, truth), math.nan, math.nan, math.nan, math.nan]
        values[3] = self._edges(pictures, truth)
        if "ssim" not in self.not_measured:
            values[1] = ssim(pictures, truth)
        if self._distance:
            distance = self._distance.to(pictures.device)
            values[2] = distance(pictures, truth)
            values[4] = gram_distance(distance.maps(pictures), distance.maps(truth))
        measured = [float(value.mean()) if isinstance(value, Tensor) else value for value in values]
        return [self._negative_loss(pictures, truth), *measured] if self._weight else measured

    def _negative_loss(self, pictures: Tensor, truth: Tensor) -> float:
        error = (pictures - truth).square().mean()
        return -float(error + self._weight * self._lpips(pictures, truth))

    def _lpips(self, pictures: Tensor, truth: Tensor) -> Tensor:
        """Returns the mean distance of frames, a scalar with a gradient."""
        assert self._distance is not None  # noqa: S101 - or it could not be asked for
        distance: Tensor = self._distance.to(pictures.device)(pictures, truth)
        return distance.mean()

    def _edges(self, pictures: Tensor, truth: Tensor) -> float:
        maps = [[edge_map(frame) for frame in frames.permute(0, 2, 3, 1).cpu().numpy()] for frames in (pictures, truth)]
        return clip_edge_f1(*maps)


def _mean_psnr(pictures: Tensor, truth: Tensor) -> float:
    return float(psnr(pictures, truth).mean())
