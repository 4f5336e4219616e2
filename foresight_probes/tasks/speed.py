"""How fast things move in a clip."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from foresight_probes.quantity import Quantity

SCALE = 100
"""Speed is in hundredths of the clip's width per frame, so that its values are neither tiny nor huge."""


class Task(Quantity):
    """Predicts the mean speed of the moving objects, in hundredths of the width per frame."""

    heads = ("temporal-linear",)

    def target(self, sample: Mapping[str, Any]) -> Tensor | None:
        objects = sample["annotations"].get("motion", {}).get("objects", ())
        if not objects:
            return None
        return torch.tensor([SCALE * each["speed"] / sample["width"] for each in objects]).mean()
