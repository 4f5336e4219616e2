"""The number of objects in an image."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import mean
from foresight_probes.tasks.kinds.regression import Regression


class Task(Regression):
    """Predicts the number of objects. Images with a crowd, whose number nobody knows, are left out."""

    metric_names = (*Regression.metric_names, "accuracy")
    annotations = ("objects",)

    def answer(self, sample: Mapping[str, Any]) -> float | None:
        objects = sample["annotations"].get("objects")
        if objects is None or any(thing.get("crowd") for thing in objects):
            return None
        return float(len(objects))

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the metrics of a number, and accuracy: the share of images whose number is right after rounding."""
        predicted, truth = np.asarray(scores).T
        return {**super().resampled_metrics(scores, counts_RS), "accuracy": mean(predicted.round() == truth, counts_RS)}
