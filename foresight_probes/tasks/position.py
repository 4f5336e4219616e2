"""The box of the only object of an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foresight_probes.batches import OutputSpec, Prediction
from foresight_probes.metrics import boxes as metric
from foresight_probes.metrics.resamples import mean
from foresight_probes.results.scores import Scores
from foresight_probes.tasks import boxes


class Task(boxes.Task):
    """Predicts one box, as the task `boxes` does; of several predictions the one with the highest score counts."""

    outputs = OutputSpec(slots=1, channels=5)

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        """[1, 4] float32 as fractions of the image; only where there is exactly one object."""
        found = super().target(sample)
        alone = len(sample["annotations"].get("objects", ())) == 1
        return found if alone else None

    def scores(self, prediction: Prediction, targets: Sequence[Tensor]) -> Scores:
        """IoU, distance of the centres as a fraction of the image's side, and relative error of the size."""
        found, logits = boxes.decode(prediction)
        best = logits.masked_fill(~prediction.mask, -torch.inf).argmax(1)
        chosen = found[torch.arange(len(best), device=best.device), best]
        truth = torch.cat(list(targets))
        iou = metric.iou_and_giou(chosen, truth)[0]
        parts = [iou, metric.centre_error(chosen, truth), metric.size_error(chosen, truth)]
        return torch.stack(parts, dim=1).cpu().double().numpy()

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        iou, centre, size = np.asarray(scores).T
        errors = {"centre_error": mean(centre, counts), "size_error": mean(size, counts)}
        return {**metric.summary(iou[:, None], counts), **errors}

    def breakdown(self, scores: Scores) -> dict[str, dict[str, float]]:  # noqa: ARG002
        """There is nothing to break down: every image has one object."""
        return {}
