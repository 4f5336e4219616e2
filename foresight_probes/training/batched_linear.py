"""Linear heads of one kind for one task, which are computed, compared with the truth and trained together.

Tens of matrix products with five columns read the same features tens of times, and tens of calls of an optimiser, a
loss and a backward pass cost more than their arithmetic. A few matrices, one loss and one backward pass do for all.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.tasks.kinds.per_sample import PerSample
from foresight_probes.training.learner import Answers, first_nonfinite
from foresight_probes.training.step_sizes import StepSize
from foresight_probes.training.task_batch import Answer, TaskBatch
from foresight_probes.training.weight_matrix import WeightMatrix, weight_matrices


class BatchedLinear:
    """Linear heads of one kind for one task; a `Learner`. They have their weights back after `write_back`."""

    selects_tokens = False

    def __init__(
        self,
        heads: Mapping[int, LinearHead],
        step_sizes: Mapping[int, StepSize],
        *,
        task: str,
        reads: str,
        threaded: bool,
    ) -> None:
        """Takes heads by their index in the bank, on the device where they will stay; `reads` pooled or tokens."""
        self.task, self.threaded = task, threaded
        self._reads, self._shape = reads, next(iter(heads.values())).as_prediction
        self._matrices = {index: m for m in weight_matrices(heads, step_sizes, reads) for index in m.runs}

    @property
    def matrices(self) -> list[WeightMatrix]:
        """Matrices with heads that have not been left out."""
        return list(dict.fromkeys(self._matrices.values()))

    def answers(self, batch: TaskBatch) -> Answers:
        return self._answers(batch, self._compute(self._features(batch)))

    def learn(self, batch: TaskBatch, factor: float) -> dict[int, float]:
        features = self._features(batch)
        mapped = {matrix: values.requires_grad_() for matrix, values in self._compute(features).items()}
        answers, failed = self._answers(batch, mapped)
        if not answers:
            return failed
        losses = torch.cat([answer.losses() for answer in answers])
        total = losses.sum()
        if not math.isfinite(total.item()):
            finite, runs = losses.detach().isfinite(), [run for answer in answers for run in answer.runs]
            failed |= {run: float(losses[number].detach()) for number, run in enumerate(runs) if not finite[number]}
            total = losses[finite].sum()
        torch.autograd.backward(total)
        for matrix, values in mapped.items():
            if values.grad is not None:
                matrix.step(values.grad, features, factor)
        return failed

    def leave_out(self, index: int) -> None:
        self._matrices.pop(index).leave_out(index)

    def write_back(self, index: int) -> None:
        self._matrices[index].write_back(index)

    def _features(self, batch: TaskBatch) -> Tensor:
        """Features of all samples, whatever samples have a target: other rows in a product could change bits."""
        return batch.whole.pooled if self._reads == "pooled" else batch.whole.tokens

    def _compute(self, features: Tensor) -> dict[WeightMatrix, Tensor]:
        return {matrix: matrix.compute(features) for matrix in self.matrices}

    def _answers(self, batch: TaskBatch, mapped: Mapping[WeightMatrix, Tensor]) -> Answers:
        runs = tuple(run for matrix in mapped for run in matrix.runs)
        answers_MB = torch.cat([matrix.by_head(values) for matrix, values in mapped.items()])
        # a sum, which is quick to compute, tells that all are finite; where it is not finite, they may be
        finite = bool(answers_MB.detach().sum().isfinite()) or bool(answers_MB.detach().isfinite().all())
        answers_MB = answers_MB if batch.positions is None else answers_MB[:, batch.positions]
        failed: dict[int, float] = {}
        if not finite:
            values = {run: first_nonfinite(answers) for run, answers in zip(runs, answers_MB, strict=True)}
            failed = {run: value for run, value in values.items() if value is not None}
            answers_MB = answers_MB[[run not in failed for run in runs]]
            runs = tuple(run for run in runs if run not in failed)
        return Answers([self._answer(batch, *group) for group in self._groups(batch, runs, answers_MB)], failed)

    def _groups(
        self, batch: TaskBatch, runs: tuple[int, ...], answers_MB: Tensor
    ) -> Iterable[tuple[tuple[int, ...], Tensor]]:
        """All runs at once where predictions have no cells and are compared sample by sample, else one by one."""
        if runs and self._reads == "pooled" and isinstance(batch.task, PerSample):
            return [(runs, answers_MB.flatten(0, 1))]
        return [((run,), answers) for run, answers in zip(runs, answers_MB, strict=True)]

    def _answer(self, batch: TaskBatch, runs: tuple[int, ...], mapped: Tensor) -> Answer:
        return Answer(batch, runs, self._shape(mapped, batch.features))
