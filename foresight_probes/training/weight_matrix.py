"""The weights of several linear heads as one matrix, with one AdamW for all.

Columns of a product do not see each other, so a head learns the same beside any others, and alone. Step sizes differ
from head to head, but Adam's steps are proportional to them, so the matrix holds the weights of each head divided by
its step size, and all are stepped by the same.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.adam import adam

from foresight_probes.heads.layers.base import LinearHead
from foresight_probes.training.step_sizes import StepSize

LIMIT = {"pooled": 128, "tokens": 32}
"""Columns of a matrix, by what its heads read."""
LANES = 32
"""Columns of a matrix with several heads are a multiple of this, and rows of numbers too: vector instructions then
treat each column alike, so that a head's numbers do not depend on its column."""
HEADS = 16
"""Heads that a matrix has room for, or a few more, where they have few columns: a single one would pay for more."""


class WeightMatrix:
    """Linear heads of one shape as one matrix. They have their weights back after `write_back`."""

    def __init__(self, heads: Mapping[int, LinearHead], step_sizes: Mapping[int, StepSize], columns: int) -> None:
        """Takes heads by their index in the bank, on the device where they will stay, as many as `columns` hold."""
        self._heads = dict(heads)
        linear = next(iter(heads.values())).linear
        self._outputs, self._width, self._device = linear.out_features, linear.in_features, linear.weight.device
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

    @torch.no_grad()
    def compute(self, features: Tensor) -> Tensor:
        """Returns [..., columns], what all heads map features [..., D] to."""
        return functional.linear(features, self._weight, self._bias).mul_(self._steps)

    def by_head(self, mapped: Tensor) -> Tensor:
        """Returns [M, ..., columns of a head], the part of a `compute` that belongs to the M heads of `runs`."""
        used = mapped[..., : len(self._heads) * self._outputs]
        heads = used.view(*used.shape[:-1], -1, self._outputs).movedim(-2, 0)
        return heads if len(self._slots) == len(self._heads) else heads[list(self._slots.values())]

    @torch.no_grad()
    def step(self, gradient: Tensor, features: Tensor, factor: float) -> None:
        """Makes one step of AdamW, its size this share of the peaks.

        Args:
            gradient: [..., columns], of what was computed.
            features: [..., D], what it was computed from.
            factor: Share of the peak step sizes.
        """
        rows = gradient.flatten(0, -2)
        torch.mm(rows.T, features.flatten(0, -2), out=self._weight_gradient)
        torch.sum(rows, 0, out=self._bias_gradient)
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

    def leave_out(self, index: int) -> None:
        """Ends the training of a head, which is no longer one of `runs`."""
        # left as they are, averages would fade into numbers that are slow to compute with
        for memory in (self._values, self._mean, self._square):
            for part in self._parts(memory, len(self._bias)):
                part[self._columns(index)] = 0
        del self._slots[index]

    @torch.no_grad()
    def write_back(self, index: int) -> None:
        """Copies the weights of a head that was not left out into it."""
        own, linear = self._columns(index), self._heads[index].linear
        steps = self._steps[own]
        linear.weight.copy_(self._weight[own] * steps[:, None])
        linear.bias.copy_(self._bias[own] * steps)

    def _columns(self, index: int) -> slice:
        slot = self._slots[index]
        return slice(slot * self._outputs, (slot + 1) * self._outputs)

    def _parts(self, memory: Tensor, columns: int) -> tuple[Tensor, Tensor]:
        """Weight [columns, D] and bias [columns] in such a memory."""
        width = self._width
        return memory[: columns * width].view(columns, width), memory[columns * width :][:columns]


def weight_matrices(
    heads: Mapping[int, LinearHead], step_sizes: Mapping[int, StepSize], reads: str
) -> list[WeightMatrix]:
    """Returns as many matrices as heads of one shape that read the same (`pooled` or `tokens`) need."""
    indices = list(heads)
    share, columns = matrix_shape(heads[indices[0]].linear.out_features, LIMIT[reads])
    parts = [indices[first : first + share] for first in range(0, len(indices), share)]
    return [WeightMatrix({index: heads[index] for index in part}, step_sizes, columns) for part in parts]


def matrix_shape(outputs: int, limit: int) -> tuple[int, int]:
    """Returns how many heads share a matrix and how many columns it has, for heads with `outputs` columns.

    It depends on nothing else: the same shape gives the same kernel and so the same bits, whoever else is there.

    >>> matrix_shape(1, 128), matrix_shape(5, 128), matrix_shape(20, 128), matrix_shape(5, 32), matrix_shape(100, 128)
    ((32, 32), (19, 96), (6, 128), (6, 32), (1, 100))
    """
    columns = min(limit, -(-HEADS * outputs // LANES) * LANES)
    return (columns // outputs, columns) if columns >= 2 * outputs else (1, outputs)
