"""Order in which samples are read, and batches made ahead of their use in memory that is used again."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Generic, TypeVar

import numpy as np

from foresight_cache.runtime.pipelining import prefetch

THREADS = 2
"""Threads that read, verify and collate; reading and checksums need no more to keep a training step busy."""
BUFFERS = THREADS + 2
"""Sets of memory that batches are made in, in turn: a batch is whole until the next but one is drawn."""

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class BatchSampler:
    """Rows of each batch of an epoch.

    With a seed each epoch is another order that depends on seed and epoch alone: shards are shuffled, taken a few at
    a time, and the samples of these few are mixed. So a pass reads from a few objects at a time and not from all over
    the cache, and how much is kept in memory changes nothing. Without a seed rows come as they are.

    Of several processes each takes its part of every batch. In training all have the same number of batches, as
    synchronised steps need, and where the last batch has fewer samples than there are processes some see one again;
    without a seed each row is seen by one process, once.

    >>> BatchSampler([[0, 1, 2], [3, 4]], batch_size=2).batches(0)
    [[0, 1], [2, 3], [4]]
    >>> BatchSampler([[0, 1, 2], [3, 4]], batch_size=2, rank=1, world=2).batches(0)
    [[1, 3]]
    """

    def __init__(
        self,
        shards: Sequence[Sequence[int]],
        batch_size: int,
        *,
        seed: int | None = None,
        mixed: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Takes the rows of each shard; batches have `batch_size` samples per process, mixed from `mixed` shards."""
        self._shards = [np.asarray(rows, dtype=np.int64) for rows in shards if len(rows)]
        self._batch_size, self._seed, self._mixed = batch_size, seed, mixed
        self._rank, self._world = rank, world

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        rows = sum(map(len, self._shards))
        if self._seed is None:
            return math.ceil(len(range(self._rank, rows, self._world)) / self._batch_size)
        return math.ceil(rows / (self._batch_size * self._world))

    def batches(self, epoch: int) -> list[list[int]]:
        """Returns the rows of each batch of an epoch, for this process."""
        if self._seed is None:
            rows = np.concatenate(self._shards)[self._rank :: self._world]
            return [part.tolist() for part in _cut(rows, self._batch_size)]
        generator = np.random.default_rng([self._seed, epoch])
        shards = [self._shards[index] for index in generator.permutation(len(self._shards))]
        mixed = [np.concatenate(shards[first : first + self._mixed]) for first in range(0, len(shards), self._mixed)]
        rows = np.concatenate([generator.permutation(block) for block in mixed])
        return [self._part(block).tolist() for block in _cut(rows, self._batch_size * self._world)]

    def _part(self, block: np.ndarray) -> np.ndarray:
        part = np.array_split(block, self._world)[self._rank]
        return part if len(part) else block[:1]


def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


class BatchLoader(Generic[_Made]):
    """The loader that a LightningDataModule returns: each iteration is the next epoch.

    `state_dict` holds the position in the current epoch; a new object that has loaded it goes on from there.
    """

    def __init__(self, sampler: BatchSampler, make: Callable[[Sequence[int], int], _Made]) -> None:
        """Takes `make(rows, buffer)`, which fills the memory with that number and is called in other threads."""
        self._sampler, self._make = sampler, make
        self._epochs_begun, self._batches_drawn = 0, 0
        self._resumed = False

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[_Made]:
        if not self._resumed:
            self._batches_drawn = 0
        self._resumed = False
        epoch = self._epochs_begun
        self._epochs_begun += 1
        for made in ahead(self._sampler.batches(epoch)[self._batches_drawn :], self._make):
            self._batches_drawn += 1
            yield made

    def state_dict(self) -> dict[str, int]:
        """Returns the number of `epochs` begun, and of `batches` drawn from the last of them."""
        return {"epochs": self._epochs_begun, "batches": self._batches_drawn}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes on where `state_dict` was taken."""
        self._resumed = 0 < state["batches"] < len(self)
        self._epochs_begun = state["epochs"] - self._resumed
        self._batches_drawn = state["batches"]


def ahead(items: Iterable[_Item], make: Callable[[_Item, int], _Made]) -> Generator[_Made]:
    """Yields `make(item, buffer)` for each item, in order, made in threads ahead of its use; buffers take turns."""
    return prefetch(zip(items, cycle(range(BUFFERS)), strict=False), lambda pair: make(*pair), threads=THREADS)
