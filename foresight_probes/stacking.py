"""Linear heads that read the same features, computed as columns of one matrix.

Tens of matrix products with five columns read the same features tens of times; one with thirty-two costs hardly more
than one with five. Columns do not see each other, so a head learns the same beside any others, and alone.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

COLUMNS = {"pooled": 256, "tokens": 32}
"""Of a matrix, by what its heads read, however many are in it: the same shape gives the same kernel and so the same
bits. A product with the means over tokens costs nothing beside its call, one with all tokens does."""
LANES = 8
"""A head begins at a multiple of this, so that vector instructions see its columns alike wherever it stands."""


class Stack:
    """Some linear heads as one matrix, whose parts their own parameters become."""

    def __init__(self, heads: Mapping[int, nn.Linear], columns: int) -> None:
        """Heads by their place in the bank, all of one width, on the device where they will stay."""
        some = next(iter(heads.values()))
        sizes = [_room(linear.out_features) for linear in heads.values()]
        columns = max(columns, some.out_features) if len(heads) == 1 else columns
        self._weight = torch.zeros(columns, some.in_features, device=some.weight.device)
        self._bias = torch.zeros(columns, device=some.weight.device)
        self._heads = dict(heads)
        self._sections = []
        start = 0
        for linear, size in zip(heads.values(), sizes, strict=True):
            stop = start + linear.out_features
            for own, shared in ((linear.weight, self._weight), (linear.bias, self._bias)):
                shared[start:stop] = own.detach()
                own.data = shared[start:stop]
            self._sections += [linear.out_features, min(start + size, columns) - stop]
            start = min(start + size, columns)
        self._sections.append(columns - start)
        self._weight.requires_grad_()
        self._bias.requires_grad_()
        self.finite = torch.tensor(True)
        """Whether the last answers were finite everywhere, told once for all heads."""

    @property
    def places(self) -> tuple[int, ...]:
        """Of the heads in the bank."""
        return tuple(self._heads)

    def __call__(self, features: Tensor) -> dict[int, Tensor]:
        """[..., D] -> by place [..., columns of the head]."""
        self._weight.grad = self._bias.grad = None
        answers = functional.linear(features, self._weight, self._bias)
        self.finite = answers.detach().isfinite().all()
        parts = torch.split(answers, self._sections, dim=-1)
        return dict(zip(self._heads, parts[::2], strict=False))

    def hand_out_gradients(self, places: Sequence[int]) -> None:
        """After a backward pass: these heads get their part, others none."""
        start = 0
        for (place, linear), columns, gap in zip(
            self._heads.items(), self._sections[::2], self._sections[1::2], strict=False
        ):
            for own, shared in ((linear.weight, self._weight), (linear.bias, self._bias)):
                asked = place in places and shared.grad is not None
                own.grad = shared.grad[start : start + columns] if asked else None  # type: ignore[index]
            start += columns + gap


def stacks(heads: Mapping[int, nn.Linear], columns: int) -> list[Stack]:
    """All heads, which are of one width; one with more outputs than `columns` is alone.

    >>> [stack.places for stack in stacks({k: nn.Linear(4, n) for k, n in enumerate((9, 40, 5, 12))}, 32)]
    [(0, 2), (3,), (1,)]
    """
    shared: list[dict[int, nn.Linear]] = []
    alone = []
    for place, linear in heads.items():
        if linear.out_features > columns:
            alone.append({place: linear})
            continue
        for some in shared:
            if sum(_room(other.out_features) for other in some.values()) + _room(linear.out_features) <= columns:
                some[place] = linear
                break
        else:
            shared.append({place: linear})
    return [Stack(some, columns) for some in (*shared, *alone)]


def _room(columns: int) -> int:
    return -(-columns // LANES) * LANES
