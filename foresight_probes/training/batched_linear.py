"""Linear heads of one kind that answer for one task, computed and trained as one matrix.

Tens of matrix products with five columns read the same features tens of times, and tens of calls of an optimiser cost
more than their arithmetic. One product and one call of Adam do for all, because columns do not see each other: a head
learns the same beside any others, and alone. Step sizes differ from head to head, but Adam's steps are proportional to
them, so the matrix holds the weights of each head divided by its step size, and all are stepped by the same.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.adam import adam

from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.tasks.kinds.per_sample import PerSample
from foresight_probes.training.learner import Answers, first_nonfinite
from foresight_probes.training.step_sizes import StepSize
from foresight_probes.training.task_batch import Answer, TaskBatch

LIMIT = {"pooled": 128, "tokens": 32}
"""Columns of a matrix, by what its heads read."""
LANES = 32
"""Columns of a matrix with several heads are a multiple of this, and rows of numbers too: vector instructions then
treat each column alike, so that a head's numbers do not depend on its column."""
HEADS = 16
"""Heads that a matrix has room for, or a few more, where they have few columns: a single one would pay for more."""


class BatchedLinear:
    """Linear heads as one matrix; a `Learner`. They have their weights back after `write_back`."""

    selects_tokens = False

    def __init__(
        self,
        heads: Mapping[int, LinearHead],
        step_sizes: Mapping[int, StepSize],
        columns: int,
        *,
        task: str,
        reads: str,
        threaded: bool,
    ) -> None:
        """Takes heads of one shape, by their index in the bank, on the device where they will stay.

        Args:
            columns: Columns of the matrix (`matrix_shape`).
            reads: `pooled` or `tokens`.
        """
        self.task, self.threaded = task, threaded
        self._reads, self._heads = reads, dict(heads)
        linear = next(iter(heads.values())).linear
        self._each, self._width, self._device = linear.out_features, linear.in_features, linear.weight.device
        self._slots = {index: slot for slot, index in enumerate(heads)}
        self._steps, self._decays = torch.ones(columns), torch.zeros(columns, 1)
        size = columns * (linear.in_features + 1)
        unit = LANES * torch.get_num_threads()
        self._values, self._gradient, self._mean, self._square = (
            torch.zeros(-(-size // unit) * unit, device=self._device) for _ in range(4)
        )
        self._weight, self._bias = self._parts(self._values, columns)
        self._weight_gradient, self._bias_gradient = self._parts(self._gradient, columns)
        for index, head in heads.items():
            own, step_size = self._columns(index), step_sizes[index]
            self._steps[own], self._decays[own] = step_size.peak, step_size.decay
            self._weight[own] = head.linear.weight.detach() / step_size.peak
            self._bias[own] = head.linear.bias.detach() / step_size.peak
        self._steps, self._decays = self._steps.to(self._device), self._decays.to(self._device)
        self._count = torch.zeros((), device=self._device)

    @property
    def runs(self) -> tuple[int, ...]:
        """Indices in the bank of the heads that have not been left out."""
        return tuple(self._slots)

    def answers(self, batch: TaskBatch) -> Answers:
        return self._answers(batch, self._compute(self._features(batch)))

    def learn(self, batch: TaskBatch, factor: float) -> dict[int, float]:
        features = self._features(batch)
        mapped = self._compute(features).requires_grad_()
        answers, failed = self._answers(batch, mapped)
        if not answers:
            return failed
        losses, runs = torch.cat([answer.losses() for answer in answers]), [i for each in answers for i in each.runs]
        finite = losses.detach().isfinite()
        if not finite.all():
            failed |= {run: float(losses[number].detach()) for number, run in enumerate(runs) if not finite[number]}
            losses = losses[finite]
        torch.autograd.backward(losses.sum())
        if mapped.grad is not None:
            self._step(mapped.grad.flatten(0, -2), features.flatten(0, -2), factor)
        return failed

    def leave_out(self, index: int) -> None:
        # left as they are, averages would fade into numbers that are slow to compute with
        for memory in (self._values, self._mean, self._square):
            for part in self._parts(memory, len(self._bias)):
                part[self._columns(index)] = 0
        del self._slots[index]

    @torch.no_grad()
    def write_back(self, index: int) -> None:
        own, linear = self._columns(index), self._heads[index].linear
        steps = self._steps[own]
        linear.weight.copy_(self._weight[own] * steps[:, None])
        linear.bias.copy_(self._bias[own] * steps)

    def _features(self, batch: TaskBatch) -> Tensor:
        return batch.whole.pooled if self._reads == "pooled" else batch.whole.tokens

    @torch.no_grad()
    def _compute(self, features: Tensor) -> Tensor:
        """[..., D] -> [..., columns], whatever samples have a target: other rows in a product could change bits."""
        return functional.linear(features, self._weight, self._bias).mul_(self._steps)

    def _answers(self, batch: TaskBatch, mapped: Tensor) -> Answers:
        runs, answers_MB = self.runs, self._by_head(mapped)
        # a sum, which is quick to take, tells that all are finite; where it is not finite, they may be
        finite = bool(mapped.detach().sum().isfinite()) or bool(answers_MB.detach().isfinite().all())
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
        return Answer(batch, runs, self._heads[runs[0]].as_prediction(mapped, batch.features))

    @torch.no_grad()
    def _step(self, gradient: Tensor, features: Tensor, factor: float) -> None:
        """AdamW from the gradients [rows, columns] of what was computed from features [rows, D]."""
        torch.mm(gradient.T, features, out=self._weight_gradient)
        torch.sum(gradient, 0, out=self._bias_gradient)
        self._weight.mul_(1 - factor * self._decays)
        adam(
            [self._values],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._count],
            fused=self._device.type in ("cpu", "cuda"),
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=factor,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def _columns(self, index: int) -> slice:
        slot = self._slots[index]
        return slice(slot * self._each, (slot + 1) * self._each)

    def _parts(self, memory: Tensor, columns: int) -> tuple[Tensor, Tensor]:
        """Weight [columns, D] and bias [columns] in such a memory."""
        width = self._width
        return memory[: columns * width].view(columns, width), memory[columns * width :][:columns]

    def _by_head(self, mapped: Tensor) -> Tensor:
        """[..., columns] -> [M, ..., columns of a head], of the M heads that have not been left out."""
        used = mapped[..., : len(self._heads) * self._each]
        heads = used.view(*used.shape[:-1], -1, self._each).movedim(-2, 0)
        return heads if len(self._slots) == len(self._heads) else heads[list(self._slots.values())]


def batch_linears(
    heads: Mapping[int, LinearHead], step_sizes: Mapping[int, StepSize], *, task: str, reads: str, threaded: bool
) -> list[BatchedLinear]:
    """Returns as many matrices as heads of one shape that read the same need."""
    indices = list(heads)
    share, columns = matrix_shape(heads[indices[0]].linear.out_features, LIMIT[reads])
    return [
        BatchedLinear(
            {index: heads[index] for index in indices[first : first + share]},
            step_sizes,
            columns,
            task=task,
            reads=reads,
            threaded=threaded,
        )
        for first in range(0, len(indices), share)
    ]


def matrix_shape(each: int, limit: int) -> tuple[int, int]:
    """Returns how many heads share a matrix and how many columns it has, for heads with `each` columns.

    A function of nothing else: the same shape gives the same kernel and so the same bits, whoever else is there.

    >>> matrix_shape(1, 128), matrix_shape(5, 128), matrix_shape(20, 128), matrix_shape(5, 32), matrix_shape(100, 128)
    ((32, 32), (19, 96), (6, 128), (6, 32), (1, 100))
    """
    columns = min(limit, -(-HEADS * each // LANES) * LANES)
    return (columns // each, columns) if columns >= 2 * each else (1, each)
