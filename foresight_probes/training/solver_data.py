"""Features of a point as closed forms see them: standardised, as tasks transform them, with the right answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.batches import Batch, Features
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.splits import Split
from foresight_probes.tasks import Task
from foresight_probes.training.run_spec import RunSpec


@dataclass(frozen=True, slots=True)
class SeenBatch:
    """A batch as runs see it that read the same features, transformed by the same task or by none."""

    runs: tuple[int, ...]
    """Indices of the runs."""
    features: Features
    """Standardised."""
    targets: Mapping[str, Sequence[Tensor | None]]
    samples: tuple[int, ...]
    """Rows of the sample table."""


@dataclass(frozen=True, slots=True)
class SolverRows:
    """Rows of a batch, R of them, that runs with the same inputs are solved from."""

    runs: tuple[int, ...]
    inputs_RD: Tensor
    """float64, a row per sample or per token."""
    answers: list[Tensor]
    """Right values [R, C] or classes [R] for each run; anything in rows that it does not train on."""
    known: list[Tensor]
    """Rows that each run trains on, [R] bool."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SolverData:
    """Runs on one point with the features that they are solved from."""

    runs: Sequence[RunSpec]
    tasks: Mapping[str, Task]
    heads: Sequence[LinearHead]
    """Head of each run."""
    splits: Sequence[Split]
    """Split of each run."""
    features: FeatureData
    standardization: Standardization
    advance: Advance = silent

    def batches(self, samples: Mapping[int, frozenset[int]], *, counted: bool = True) -> Iterator[SeenBatch]:
        """Yields all samples, by the index of a run, in one pass; a batch once for each way in which runs see it.

        The bytes of each batch are reported, and where they are `counted` its samples.
        """
        kinds: dict[tuple[str, str], list[int]] = {}
        for run in samples:
            kinds.setdefault((self.heads[run].reads, self._transforming(run)), []).append(run)
        rows, buffers = sorted(frozenset().union(*samples.values())), list[Tensor]()
        for batch in self.features.in_order(rows) if rows else ():
            features = self.standardization(batch.features, buffers)
            for (_, task), runs in kinds.items():
                if seen := self._seen(tuple(runs), batch, features, task):
                    yield seen
            self.advance(len(batch.rows) if counted else 0, batch.size)

    def training_rows(self, runs: Sequence[int], *, counted: bool = True) -> Iterator[SolverRows]:
        """Yields all rows that these runs train on, in one pass, reported as `batches` does."""
        training = {run: frozenset(self.splits[run].train) for run in runs}
        for seen in self.batches(training, counted=counted):
            inputs_RD, lengths = _inputs(seen.features, self.heads[seen.runs[0]].reads)
            pairs = [self._answers(run, seen, lengths, training[run]) for run in seen.runs]
            yield SolverRows(seen.runs, inputs_RD, [answers for answers, _ in pairs], [known for _, known in pairs])

    def most_rows(self, run: int) -> int:
        """Returns how many rows a run may train on at most."""
        tokens = self.features.grid.tokens if self.heads[run].reads == "tokens" else 1
        return len(self.splits[run].train) * tokens

    def task(self, run: int) -> Task:
        """Returns the task of a run."""
        return self.tasks[self.runs[run].task]

    def _transforming(self, run: int) -> str:
        """Name of the run's task if it transforms batches, else nothing."""
        return self.runs[run].task if self.task(run).transforms_batch else ""

    def _seen(self, runs: tuple[int, ...], batch: Batch, features: Features, task: str) -> SeenBatch | None:
        """None where a task that transforms batches has no target in this one."""
        if not task:
            return SeenBatch(runs, features, batch.targets, batch.rows)
        positions = [position for position, target in enumerate(batch.targets[task]) if target is not None]
        if not positions:
            return None
        targets = [target for target in batch.targets[task] if target is not None]
        transformed, ready = self.tasks[task].transform_batch(features.select(positions), targets)
        return SeenBatch(runs, transformed, {task: ready}, tuple(batch.rows[position] for position in positions))

    def _answers(
        self, run: int, seen: SeenBatch, lengths: Sequence[int], training: frozenset[int]
    ) -> tuple[Tensor, Tensor]:
        task, channels = self.task(run), self.heads[run].linear.out_features
        has_classes = task.closed_form == "class"
        answers = torch.full((sum(lengths),) if has_classes else (sum(lengths), channels), torch.nan)
        start = 0
        for number, (row, target, length) in enumerate(
            zip(seen.samples, seen.targets[self.runs[run].task], lengths, strict=True)
        ):
            if target is not None and row in training:
                cells = seen.features.cells[number, :length]
                right = task.target_class(target, cells) if has_classes else task.target_values(target, cells)
                shape = (-1,) if has_classes else (-1, channels)
                answers[start : start + length] = right.reshape(shape).expand(length, *shape[1:])
            start += length
        if has_classes:
            return answers.nan_to_num().long(), answers >= 0
        return answers.nan_to_num(), ~answers.isnan().any(1)


def _inputs(features: Features, reads: str) -> tuple[Tensor, list[int]]:
    """[R, D] float64, a row per sample or per token, and how many rows each sample has."""
    if reads == "pooled":
        return features.pooled.double(), [1] * len(features.pooled)
    return features.tokens[features.mask].double(), features.mask.sum(1).tolist()
