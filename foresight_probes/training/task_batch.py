"""What a batch asks for a task, and what heads answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from foresight_probes.batches import Batch, Features, Prediction
from foresight_probes.tasks import Task


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """The samples of a batch that have a question for a task."""

    task: Task
    rows: list[int]
    """Of the cache's sample table, one per sample."""
    places: list[int] | None
    """Of the samples in the batch; None where it is all of them."""
    targets: Sequence[Tensor]
    features: Features
    """Of these samples, as the task wants them; without tokens and further points where no head said to need them."""

    @classmethod
    def of(cls, batch: Batch, features: Features, name: str, task: Task, *, tokens: bool) -> "TaskBatch | None":
        """What `batch` asks for `task`, of its standardised features; None where no sample has a question."""
        places = [place for place, target in enumerate(batch.targets[name]) if target is not None]
        if not places:
            return None
        every = len(places) == len(batch.rows)
        chosen = features if tokens else replace(features, tokens=features.tokens[:, :0], others=())
        chosen = chosen if every else chosen.select(places)
        targets: Sequence[Tensor] = [target for target in batch.targets[name] if target is not None]
        if task.transforms_batch:
            chosen, targets = task.transform_batch(chosen, targets)
        return cls(task, [batch.rows[place] for place in places], None if every else places, targets, chosen)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one head, or several, say of the samples of a batch that have a question for a task."""

    task: str
    heads: tuple[int, ...]
    """By place in the bank."""
    prediction: Prediction
    """Of all samples by the first head, then of all by the second, and so on."""
    targets: Sequence[Tensor]
    rows: list[int]
    """Of the cache's sample table, one per sample."""

    @property
    def truth(self) -> Tensor:
        """The targets of a separable task, for one prediction after another."""
        return torch.stack(list(self.targets)).repeat(len(self.heads))
