"""The samples of a batch that have a target for a task, and the answers of heads to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from foresight_probes.batches import Batch, Features, Prediction
from foresight_probes.metrics import Scores
from foresight_probes.tasks import Task
from foresight_probes.tasks.kinds.per_sample import PerSample


@dataclass(frozen=True, slots=True)
class TaskBatch:
    """The samples of a batch that have a target for a task."""

    task: Task
    rows: list[int]
    """Rows of the cache's sample table, one per sample."""
    positions: list[int] | None
    """Positions of the samples in the batch; None where it is all of them."""
    targets: Sequence[Tensor]
    features: Features
    """Standardised features of these samples, as the task transforms them; without tokens and further points where
    no learner reads them (`select`)."""
    whole: Features
    """Standardised features of the whole batch, as they are before the task."""

    @classmethod
    def select(cls, batch: Batch, features: Features, name: str, task: Task, *, tokens: bool) -> "TaskBatch | None":
        """Returns the part of `batch`, with its standardised features, that has targets; None where there is none."""
        positions = [position for position, target in enumerate(batch.targets[name]) if target is not None]
        if not positions:
            return None
        every = len(positions) == len(batch.rows)
        chosen = features if tokens else replace(features, tokens=features.tokens[:, :0], others=())
        chosen = chosen if every else chosen.select(positions)
        targets: Sequence[Tensor] = [target for target in batch.targets[name] if target is not None]
        if task.transforms_batch:
            chosen, targets = task.transform_batch(chosen, targets)
        rows = [batch.rows[position] for position in positions]
        return cls(task, rows, None if every else positions, targets, chosen, features)


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions of M runs for the B samples of a task batch; M is 1 unless the task is `PerSample`."""

    batch: TaskBatch
    runs: tuple[int, ...]
    """Indices of the runs in the bank."""
    prediction: Prediction
    """M * B samples: all by the first run, then all by the second, and so on."""

    def losses(self) -> Tensor:
        """Returns [M], the loss of each run."""
        task = self.batch.task
        if not isinstance(task, PerSample):
            return task.loss(self.prediction, self.batch.targets).view(1)
        return task.sample_losses(self.prediction, self._truth()).view(len(self.runs), -1).mean(1)

    def scores(self, *, for_selection: bool) -> Iterator[tuple[int, Scores]]:
        """Yields each run's index with the scores of the B samples: all of them, or as many as selection needs."""
        task, count = self.batch.task, len(self.batch.rows)
        if isinstance(task, PerSample):
            scores = task.sample_scores(self.prediction, self._truth())
        else:
            scores = (task.selection_scores if for_selection else task.scores)(self.prediction, self.batch.targets)
        for number, run in enumerate(self.runs):
            yield run, scores[number * count : (number + 1) * count]

    def _truth(self) -> Tensor:
        return torch.stack(list(self.batch.targets)).repeat(len(self.runs))
