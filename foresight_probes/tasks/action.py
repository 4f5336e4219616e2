"""The action that a clip shows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_probes.metrics import Scores, classification_metrics
from foresight_probes.tasks.kinds.classification import Classification


class Task(Classification):
    """Predicts the class of the action's template (174 of them in Something-Something v2)."""

    heads = ("pooled-linear", "attentive")
    metric_names = ("accuracy", "top_5", "balanced_accuracy", "calibration_error")
    annotations = ("action",)

    def answer(self, sample: Mapping[str, Any]) -> int | None:
        if sample.get("reversed"):  # played backwards, it shows another one
            return None
        class_id: int | None = sample["annotations"].get("action", {}).get("class_id")
        return class_id

    def resampled_metrics(self, scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        return classification_metrics.class_summary(scores, counts_RS, top=5)
