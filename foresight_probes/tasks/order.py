"""The order of a clip's frames, forward or reversed, predicted from its features."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from foresight_probes.batches import Features
from foresight_probes.tasks import TaskContext
from foresight_probes.tasks.kinds.classification import Classification


class Task(Classification):
    """Predicts whether a clip is reversed, which is half of them.

    In a cache that was extracted with `--reverse half` the model itself saw these clips played backwards, and the task
    asks what it encoded of that. In any other cache the time steps of the features are turned around, which the model
    computed from the clip as it was; half of the clips is chosen by a hash of their names. Then the task asks whether
    features tell which of two time steps came first, by what is seen in them or by the model's own positions in time.
    """

    heads = ("temporal-linear",)

    def __init__(self, context: TaskContext) -> None:
        super().__init__(context)
        played = any(sample.get("reversed") is not None for sample in context.samples)
        self.transforms_batch = self.plants_answers = not played

    def answer(self, sample: Mapping[str, Any]) -> str | None:
        if not any(grid and grid[0] > 1 for level in ("patch", "merged") for grid in [sample.get(f"grid_{level}")]):
            return None
        if (played := sample.get("reversed")) is not None:
            return "reversed" if played else "forward"
        return "reversed" if hashlib.sha256(f"order {sample['id']}".encode()).digest()[0] % 2 else "forward"

    def transform_batch(self, features: Features, targets: Sequence[Tensor]) -> tuple[Features, Sequence[Tensor]]:
        """Turns the clips around whose answer is "reversed"."""
        reversed_ = self.classes.index("reversed") if "reversed" in self.classes else -1
        tokens = features.tokens.clone()
        for row, (target, grid) in enumerate(zip(targets, features.grids, strict=True)):
            if target == reversed_:
                steps = features.tokens[row, : grid.tokens].view(grid.t, grid.h * grid.w, -1)
                tokens[row, : grid.tokens] = steps.flip(0).flatten(0, 1)
        others = tuple(self.transform_batch(other, targets)[0] for other in features.others)
        return replace(features, tokens=tokens, others=others), torch.stack(list(targets)).unbind()
