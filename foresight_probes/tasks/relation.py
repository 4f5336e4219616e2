"""The direction in which one of two objects lies, seen from the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foresight_cache.geometry import input_fractions
from foresight_probes.tasks.kinds.classification import Classification

CLEAR = 1.25
"""Ratio of the distances along the two axes from which the direction is clear."""


class Task(Classification):
    """Predicts whether the first of two objects is left of, right of, above or below the second.

    Asked of images with exactly two objects, of different categories; the first is the one with the lower category
    id, so that the question is the same for all images. The answer is along the axis on which the centres are
    farther apart, as fractions of the model's input; where it is not clear which that is, there is no question.
    """

    annotations = ("objects",)

    def answer(self, sample: Mapping[str, Any]) -> str | None:
        objects = sample["annotations"].get("objects", ())
        if len(objects) != 2 or any(thing.get("crowd") for thing in objects):
            return None
        first, second = sorted(objects, key=lambda thing: int(thing["category_id"]))
        if first["category_id"] == second["category_id"]:
            return None
        boxes = input_fractions(np.array([first["box"], second["box"]]), sample)
        across, down = (boxes[0, :2] + boxes[0, 2:] - boxes[1, :2] - boxes[1, 2:]) / 2
        if abs(across) >= CLEAR * abs(down) and across:
            return "left" if across < 0 else "right"
        if abs(down) >= CLEAR * abs(across) and down:
            return "above" if down < 0 else "below"
        return None
