"""The edges of the picture, drawn from its features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.batches import Prediction
from foresight_probes.features.patches import patchify
from foresight_probes.metrics import Scores
from foresight_probes.metrics.edge_metrics import clip_edge_f1, edge_map
from foresight_probes.metrics.resamples import mean
from foresight_probes.tasks.kinds.picture import Picture, drawn

EDGE_WEIGHT = 3.0
"""Weight of edge pixels in the loss. They are few, and a head that weighs all pixels the same and is not sure of the
exact one would draw none."""


class Task(Picture):
    """Predicts, with each token, logits of "edge" for the pixels of its cell, by binary cross-entropy.

    The true edges are those of Canny's detector in the stored pixels (`metrics.edges`); a pixel with a probability
    above 0.5 is drawn as an edge.
    """

    heads = ("conv-decoder",)
    primary = "edge_f1"
    metric_names = ("edge_f1",)
    channels = 1

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """Returns the true edges, bool [T, H, W, 1]."""
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
        """Returns the F1 score of the edges, one value per sample."""
        scores = []
        for logits_THWC, truth_THWC in drawn(prediction, targets):
            edges_THW = (logits_THWC > 0)[..., 0].cpu().numpy()
            scores.append([clip_edge_f1(edges_THW, truth_THWC[..., 0].cpu().numpy())])
        return np.array(scores)

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return {"edge_f1": mean(np.asarray(scores)[:, 0], counts_RS)}
