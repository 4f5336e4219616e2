"""The direction in which things move in a clip."""

from collections.abc import Mapping
from typing import Any

from foresight_probes.tasks.kinds.classification import Classification


class Task(Classification):
    """Predicts the direction of motion, by the name that the dataset gives it.

    It is that of the moving objects where all have the same one from beginning to end, and else that of the action.
    """

    heads = ("temporal-linear",)
    annotations = ("motion", "action")

    def answer(self, sample: Mapping[str, Any]) -> str | None:
        if sample.get("reversed"):  # played backwards, it shows another one
            return None
        annotations = sample["annotations"]
        moving = {thing["direction"] for thing in annotations.get("motion", {}).get("objects", ())}
        if moving:
            return moving.pop() if len(moving) == 1 else None
        direction: str | None = annotations.get("action", {}).get("direction")
        return direction
