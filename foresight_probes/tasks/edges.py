"""The edges of the picture, drawn from its features."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_cache.samples import Grid
from foresight_probes import tasks
from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.features.patches import cell_of, patchify, unpatchify
from foresight_probes.metrics.edges import clip_edge_f1, edge_map
from foresight_probes.metrics.resamples import mean
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import TaskContext

EDGE_WEIGHT = 3.0
"""Weight of edge pixels in the loss. They are few, and where it is not sure of the exact pixel a head that weighs all
the same would draw none."""


class Task(tasks.Task):
    """Each token's values are logits of "edge" for the pixels of its cell; binary cross-entropy.

    The true edges are those of Canny's detector in the stored pixels (`metrics.edges`); a pixel with a probability
    above 0.5 is drawn as an edge.
    """

    heads = ("conv-decoder",)
    primary = "edge_f1"
    constant_head = "global-linear"
    needs_arrays = ("pixels",)

    def __init__(self, setting: TaskContext) -> None:
        self._samples = setting.samples

    def outputs_for(self, *, width: int, grid: Grid) -> OutputSpec:  # noqa: ARG002 - pieces are as wide for any point
        cell = cell_of(self._samples, grid, channels=1)
        return OutputSpec(slots=1, channels=math.prod(cell), predicts=("per_token",), grid=grid, cell=cell)

    def has_target(self, sample: Mapping[str, Any]) -> bool:
        return bool(sample.get("grid_pixel"))

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """bool [T, H, W, 1]."""
        if "pixels" not in sample:
            return None
        return torch.from_numpy(np.stack([edge_map(frame) for frame in sample["pixels"]])[..., None])

    def loss(self, prediction: Prediction, targets: Sequence[Tensor]) -> Tensor:
        losses = []
        weight = torch.tensor(EDGE_WEIGHT, device=prediction.values.device)
        for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
            truth = patchify(target, grid).float()
            losses.append(functional.binary_cross_entropy_with_logits(pieces[: grid.tokens], truth, pos_weight=weight))
        return torch.stack(losses).mean()

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """F1 of the edges, one value."""
        found = []
        for pieces, grid, target in zip(prediction.values, prediction.grids, targets, strict=True):
            frames, height, width, channels = target.shape
            cell = (frames // grid.t, height // grid.h, width // grid.w, channels)
            drawn = unpatchify(pieces[: grid.tokens] > 0, grid, cell)[..., 0].cpu().numpy()
            found.append([clip_edge_f1(drawn, target[..., 0].cpu().numpy())])
        return np.array(found)

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        return {"edge_f1": mean(np.asarray(scores)[:, 0], counts)}
