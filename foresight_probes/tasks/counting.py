"""How many objects an image has."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_probes.metrics.resamples import mean
from foresight_probes.results.scores import Scores
from foresight_probes.tasks.kinds.regression import Regression


class Task(Regression):
    """Predicts the number of objects. Images with a crowd, whose number nobody knows, are left out."""

    def answer(self, sample: Mapping[str, Any]) -> float | None:
        objects = sample["annotations"].get("objects")
        if objects is None or any(each.get("crowd") for each in objects):
            return None
        return float(len(objects))

    def summaries(self, scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Those of a number, and accuracy: the share of images whose number is right after rounding."""
        found, truth = np.asarray(scores).T
        return {**super().summaries(scores, counts), "accuracy": mean(found.round() == truth, counts)}
