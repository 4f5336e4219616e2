"""Features of a point as closed forms see them: standardised, as tasks transform them, with the right answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.batches import Batch, Features
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import SolvableHead
from foresight_probes.splits import Split
from foresight_probes.tasks import Task
from foresight_probes.training.run_spec import RunSpec

MOST_ROWS = 65_536
"""Rows that a closed form is solved from at most, or a few more; where tokens are more, some of each sample."""


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
    """Right values [R, C], NaN where a row does not matter, or classes [R], negative where not, for each run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SolverData:
    """Runs on one point with the features that they are solved from."""

    runs: Sequence[RunSpec]
    tasks: Mapping[str, Task]
    heads: Sequence[SolvableHead]
    """Head of each run."""
    solvers: Sequence[str]
    """Name of the solver of each run."""
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
            head = self.heads[run]
            reads = self.runs[run].head if head.rearranges else head.reads
            kinds.setdefault((reads, self._transforming(run)), []).append(run)
        rows, buffers = sorted(frozenset().union(*samples.values())), list[Tensor]()
        for stored in self.features.in_order(rows) if rows else ():
            batch = stored.to("cpu")  # where closed forms are solved, wherever tokens are kept
            features = self.standardization(batch.features, buffers)
            for (_, task), runs in kinds.items():
                if seen := self._seen(tuple(runs), batch, features, task):
                    yield seen
            self.advance(len(batch.rows) if counted else 0, batch.size)

    def training_rows(self, runs: Sequence[int], *, counted: bool = True) -> Iterator[SolverRows]:
        """Yields the rows that these runs train on, in one pass, reported as `batches` does.

        Of samples with so many tokens that they would be more than `MOST_ROWS` in all, a part is chosen by hash.
        """
        training = {run: frozenset(self.splits[run].train) for run in runs}
        most = -(-MOST_ROWS // max(1, len(frozenset().union(*training.values()))))
        for seen in self.batches(training, counted=counted):
            inputs_BRD, mask_BR = self.heads[seen.runs[0]].inputs(seen.features)
            lengths = mask_BR.sum(1).tolist()
            answers = [self._answers(run, seen, lengths, training[run]) for run in seen.runs]
            kept = torch.cat([sampled(row, length, most) for row, length in zip(seen.samples, lengths, strict=True)])
            yield SolverRows(seen.runs, inputs_BRD[mask_BR][kept].double(), [own[kept] for own in answers])

    def most_rows(self, run: int) -> int:
        """Returns how many rows a run may train on at most."""
        tokens = self.features.grid.tokens if "per_token" in self.heads[run].predicts else 1
        return min(len(self.splits[run].train) * tokens, MOST_ROWS + len(self.splits[run].train))

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

    def _answers(self, run: int, seen: SeenBatch, lengths: Sequence[int], training: frozenset[int]) -> Tensor:
        """Classes [R] of a task that has them, else values [R, C]."""
        task, channels = self.task(run), self.heads[run].out_features
        shape = (-1,) if task.closed_form == "class" else (-1, channels)
        answers = torch.full((sum(lengths), *shape[1:]), -1.0 if shape == (-1,) else torch.nan)
        start = 0
        for number, (row, target, length) in enumerate(
            zip(seen.samples, seen.targets[self.runs[run].task], lengths, strict=True)
        ):
            if target is not None and row in training:
                cells = seen.features.cells[number, :length] if "per_token" in self.heads[run].predicts else None
                right = self._right(task, target, cells).reshape(shape)
                right = right.expand(length, *shape[1:]) if len(right) == 1 else right[:length]
                answers[start : start + len(right)] = right
            start += length
        return answers.long() if shape == (-1,) else answers

    @staticmethod
    def _right(task: Task, target: Tensor, cells: Tensor | None) -> Tensor:
        if task.closed_form == "class":
            return task.target_class(target, target.new_empty(0, 4) if cells is None else cells)
        return task.start_values(target, cells)


def sampled(row: int, length: int, most: int) -> Tensor:
    """Returns which of so many tokens of a sample stand for all where they are too many, [R] bool: `most` at most.

    >>> sampled(7, 5, 2).sum().item(), sampled(7, 5, 9).tolist()
    (2, [True, True, True, True, True])
    """
    if length <= most:
        return torch.ones(length, dtype=torch.bool)
    kept = torch.zeros(length, dtype=torch.bool)
    kept[np.random.default_rng(row).permutation(length)[:most]] = True
    return kept
