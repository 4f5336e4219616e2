"""Means of what training samples have in each place: the best answer, by squared error, that knows the place alone."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.constant_answer import place_of

COARSE = Grid(4, 4, 4)
"""Places that are told apart where samples lie on different grids, whose cells have no counterpart in each other."""

Item = TypeVar("Item")


class CellSums:
    """Sums of values over samples, for each cell of their grid, or each place of `COARSE` where grids differ."""

    def __init__(self) -> None:
        self.places: Grid | None = None
        """Grid of the sums; None before the first sample."""
        self.sums_NC = torch.zeros(0, 0, dtype=torch.float64)
        self.counts_N = torch.zeros(0, dtype=torch.float64)

    def add(self, values_NC: Tensor, grid: Grid, known_N: Tensor | None = None) -> None:
        """Adds the values of a sample's cells, those that are `known`."""
        if self.places is None:
            self._start(grid, values_NC.shape[1])
        if grid != self.places and self.places != COARSE:
            self._coarsen()
        known = torch.ones(len(values_NC), dtype=torch.float64) if known_N is None else known_N.cpu().double()
        self._scatter(values_NC.cpu().double() * known[:, None], known, grid)

    def means(self) -> Tensor:
        """Returns the mean of each place, [N, C] float64; that of all places where no sample has a value."""
        overall = self.sums_NC.sum(0) / self.counts_N.sum().clamp(min=1)
        means = self.sums_NC / self.counts_N.clamp(min=1)[:, None]
        return torch.where(self.counts_N[:, None] > 0, means, overall)

    def _start(self, places: Grid, channels: int) -> None:
        self.places = places
        self.sums_NC = torch.zeros(places.tokens, channels, dtype=torch.float64)
        self.counts_N = torch.zeros(places.tokens, dtype=torch.float64)

    def _coarsen(self) -> None:
        assert self.places is not None, "there is something to coarsen"  # noqa: S101
        sums, counts, before = self.sums_NC, self.counts_N, self.places
        self._start(COARSE, sums.shape[1])
        self._scatter(sums, counts, before)

    def _scatter(self, sums: Tensor, counts: Tensor, grid: Grid) -> None:
        assert self.places is not None, "`add` has begun"  # noqa: S101
        index = place_of(grid, self.places)
        self.sums_NC.index_add_(0, index, sums)
        self.counts_N.index_add_(0, index, counts)


class Thinned(Generic[Item]):
    """Every n-th of a stream of unknown length, so that no more than `most` of them are kept.

    >>> thinned = Thinned[int](4)
    >>> for number in range(11):
    ...     thinned.add(number)
    >>> list(thinned)
    [0, 4, 8]
    """

    def __init__(self, most: int) -> None:
        self._most, self._step, self._seen = most, 1, 0
        self._kept: list[Item] = []

    def add(self, item: Item) -> None:
        """Shows the next of the stream."""
        if self._seen % self._step == 0:
            if len(self._kept) == self._most:
                self._kept, self._step = self._kept[::2], 2 * self._step
            if self._seen % self._step == 0:
                self._kept.append(item)
        self._seen += 1

    def __iter__(self) -> Iterator[Item]:
        return iter(self._kept)


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Returns at most so many of the items, evenly spaced.

    >>> evenly("abcdefg", 3)
    ['a', 'c', 'e']
    """
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]
