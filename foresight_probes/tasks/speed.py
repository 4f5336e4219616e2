"""The speed at which things move in a clip, predicted from its features."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_probes.tasks.kinds.regression import Regression


class Task(Regression):
    """Predicts the mean speed of the moving objects, as a fraction of the clip's width per frame."""

    heads = ("temporal-linear",)
    annotations = ("motion",)

    def answer(self, sample: Mapping[str, Any]) -> float | None:
        objects = sample["annotations"].get("motion", {}).get("objects", ())
        if not objects:
            return None
        return float(np.mean([thing["speed"] for thing in objects]) / sample["width"])
