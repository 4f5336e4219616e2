"""Where one of two objects lies, seen from the other."""

from collections.abc import Mapping
from typing import Any

from foresight_probes.choice import Choice

CLEAR = 1.25
"""How many times farther apart two objects must be along one axis than along the other."""


class Task(Choice):
    """Predicts whether the first of two objects is left of, right of, above or below the second.

    Asked of images with exactly two objects, of different categories; the first is the one with the lower category
    id, so that the question is the same for all images. The answer is along the axis on which the centres are
    farther apart, as fractions of the image; where it is not clear which that is, there is no question.
    """

    def answer(self, sample: Mapping[str, Any]) -> str | None:
        objects = sample["annotations"].get("objects", ())
        if len(objects) != 2 or any(each.get("crowd") for each in objects):
            return None
        first, second = sorted(objects, key=lambda each: int(each["category_id"]))
        if first["category_id"] == second["category_id"]:
            return None
        across, down = (_centre(first, axis) - _centre(second, axis) for axis in (0, 1))
        across, down = across / sample["width"], down / sample["height"]
        if abs(across) >= CLEAR * abs(down) and across:
            return "left" if across < 0 else "right"
        if abs(down) >= CLEAR * abs(across) and down:
            return "above" if down < 0 else "below"
        return None


def _centre(each: Mapping[str, Any], axis: int) -> float:
    low, high = each["box"][axis], each["box"][axis + 2]
    return float(low + high) / 2
