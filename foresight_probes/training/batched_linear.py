"""Linear heads of one kind that answer for one task, computed and trained as one matrix.

Tens of matrix products with five columns read the same features tens of times, and tens of calls of an optimiser cost
more than their arithmetic. One product and one call of Adam do for all, because columns do not see each other: a head
learns the same beside any others, and alone. Step sizes differ from head to head, but Adam's steps are proportional to
them, so the matrix holds the weights of each head divided by its step size, and all are stepped by the same.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.adam import adam

from foresight_probes.training.rates import StepSize

LIMIT = {"pooled": 128, "tokens": 32}
"""Columns of a matrix, by what its heads read."""
LANES = 32
"""Columns of a matrix with several heads are a multiple of this, and rows of numbers too: vector instructions then
treat each column alike, so that a head's numbers do not depend on its place."""
HEADS = 16
"""That a matrix has room for, or a few more, where they have few columns: a single one would pay for more."""


class BatchedLinear:
    """Some linear heads as one matrix. They have their weights back after `write_back`."""

    def __init__(self, heads: Mapping[int, nn.Linear], rates: Mapping[int, StepSize], reads: str, columns: int) -> None:
        """Heads of one shape by their place in the bank, on the device where they will stay; see `room`."""
        self.reads = reads
        """`pooled` or `tokens`."""
        some = next(iter(heads.values()))
        self._heads = dict(heads)
        self._each, self._width, self._device = some.out_features, some.in_features, some.weight.device
        self._active = list(range(len(heads)))
        self._steps, self._decays = torch.ones(columns), torch.zeros(columns, 1)
        size = columns * (some.in_features + 1)
        unit = LANES * torch.get_num_threads()
        self._values, self._gradient, self._mean, self._square = (
            torch.zeros(-(-size // unit) * unit, device=self._device) for _ in range(4)
        )
        self._weight, self._bias = self._parts(self._values, columns)
        self._weight_gradient, self._bias_gradient = self._parts(self._gradient, columns)
        for slot, (place, linear) in enumerate(heads.items()):
            rows = self._rows(slot)
            self._steps[rows], self._decays[rows] = rates[place].peak, rates[place].decay
            self._weight[rows] = linear.weight.detach() / rates[place].peak
            self._bias[rows] = linear.bias.detach() / rates[place].peak
        self._steps, self._decays = self._steps.to(self._device), self._decays.to(self._device)
        self._count = torch.zeros((), device=self._device)
        self._answers = self._features = torch.empty(0)
        self.finite = True
        """Whether all of the last answers were finite."""

    @property
    def places(self) -> list[int]:
        """In the bank, of the heads that have not been left out."""
        places = list(self._heads)
        return [places[slot] for slot in self._active]

    @torch.no_grad()
    def compute(self, features: Tensor) -> None:
        """From features [..., D] what all heads say of them."""
        self._features = features
        self._answers = functional.linear(features, self._weight, self._bias).mul_(self._steps)
        # a sum, which is quick to take, tells that all are finite; where it is not finite, they may be
        self.finite = bool(self._answers.sum().isfinite()) or bool(self._chosen(self._answers).isfinite().all())

    def answers(self) -> Tensor:
        """[heads of `places`, ..., columns of a head], what was computed last.

        Where gradients are recorded, a backward pass to them is what `learn` learns from.
        """
        self._answers.requires_grad_(torch.is_grad_enabled())
        return self._chosen(self._answers)

    @torch.no_grad()
    def learn(self, factor: float) -> None:
        """One step of AdamW, its size this share of the peaks; none where the last answers had no gradient."""
        if self._answers.grad is None:
            return
        wrong = self._answers.grad.flatten(0, -2)
        torch.mm(wrong.T, self._features.flatten(0, -2), out=self._weight_gradient)
        torch.sum(wrong, 0, out=self._bias_gradient)
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

    def leave_out(self, place: int) -> None:
        """A head that learns no more; what it says is no longer given out."""
        slot = list(self._heads).index(place)
        self._active.remove(slot)
        # left as they are, averages would fade into numbers that are slow to compute with
        for memory in (self._values, self._mean, self._square):
            for part in self._parts(memory, len(self._bias)):
                part[self._rows(slot)] = 0

    @torch.no_grad()
    def write_back(self, place: int) -> None:
        """Gives a head that was not left out its weights as they are now."""
        rows = self._rows(list(self._heads).index(place))
        steps = self._steps[rows]
        self._heads[place].weight.copy_(self._weight[rows] * steps[:, None])
        self._heads[place].bias.copy_(self._bias[rows] * steps)

    def _rows(self, slot: int) -> slice:
        return slice(slot * self._each, (slot + 1) * self._each)

    def _parts(self, memory: Tensor, columns: int) -> tuple[Tensor, Tensor]:
        """Weight [columns, D] and bias [columns] in such a memory."""
        width = self._width
        return memory[: columns * width].view(columns, width), memory[columns * width :][:columns]

    def _chosen(self, answers: Tensor) -> Tensor:
        """[..., columns] -> [heads, ..., columns of a head]."""
        used = answers[..., : len(self._heads) * self._each]
        heads = used.view(*used.shape[:-1], -1, self._each).movedim(-2, 0)
        return heads if len(self._active) == len(self._heads) else heads[self._active]


def batch_linears(heads: Mapping[int, nn.Linear], rates: Mapping[int, StepSize], reads: str) -> list[BatchedLinear]:
    """Heads of one shape, which read the same, in as many matrices as that takes."""
    places = list(heads)
    some, columns = matrix_shape(heads[places[0]].out_features, LIMIT[reads])
    parts = [places[first : first + some] for first in range(0, len(places), some)]
    return [BatchedLinear({place: heads[place] for place in part}, rates, reads, columns) for part in parts]


def matrix_shape(each: int, limit: int) -> tuple[int, int]:
    """Heads that share a matrix and the columns that it has, for heads with so many columns.

    A function of nothing else: the same shape gives the same kernel and so the same bits, whoever else is there.

    >>> matrix_shape(1, 128), matrix_shape(5, 128), matrix_shape(20, 128), matrix_shape(5, 32), matrix_shape(100, 128)
    ((32, 32), (19, 96), (6, 128), (6, 32), (1, 100))
    """
    columns = min(limit, -(-HEADS * each // LANES) * LANES)
    return (columns // each, columns) if columns >= 2 * each else (1, each)
