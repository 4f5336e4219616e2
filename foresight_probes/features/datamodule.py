"""The LightningDataModule over one point of a cache, or over several."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from foresight_cache.samples import Grid
from foresight_probes.batches import Batch
from foresight_probes.features.batch_sampler import BatchLoader, BatchSampler
from foresight_probes.features.point_features import PointFeatures
from foresight_probes.features.sources import POINT_SEPARATOR, Source
from foresight_probes.features.standardization import Standardization
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split

Targets = Mapping[str, Mapping[int, Tensor]]
"""Targets by task and row of the sample table; rows without a target for the task are left out."""


class FeatureData(LightningDataModule):
    """Batches of a point, or of several points aligned by sample, over the three sides of a split.

    Batches are the same for the same options, whatever is kept in memory. One pass over the features, before the first
    batch, verifies every byte, fits the standardization and takes the means over tokens, which are kept. Tokens are
    kept too where they fit (`TrainingOptions.resident`), on the GPU if there is one; otherwise they are read again in
    each epoch, shard by shard, into a few batches' worth of memory, without hashing again what was verified before.
    Where only means over tokens are asked for, nothing is read after the first pass.

    Under `torch.distributed` each process gets its part of every batch.
    """

    def __init__(
        self,
        source: Source | Sequence[Source],
        split: Split,
        targets: Targets,
        options: TrainingOptions,
        *,
        tokens: bool = True,
    ) -> None:
        super().__init__()
        sources = list(source) if isinstance(source, Sequence) else [source]
        self.split, self.targets, self.options = split, targets, options
        self.name = POINT_SEPARATOR.join(point.name for point in sources)
        rows = [*split.train, *split.validation, *split.test]
        sizes = [sum(point.grid(row).tokens for row in rows) * point.width * point.dtype.itemsize for point in sources]
        self.size = sum(sizes)
        """Bytes of all features as they are stored."""
        pooled = len(rows) * sum(point.width for point in sources) * 4 <= options.resident_bytes
        self.tokens = tokens or not pooled
        """True where batches hold tokens, and not only the means over them."""
        self.batch_bytes = self.size * options.batch_size // len(rows)
        """Bytes of the features of a batch as they are stored, on average, whether it holds tokens or not."""
        device = residence(self.size, options) if self.tokens else None
        self._features = [PointFeatures(point, rows, keep_pooled=pooled, keep_tokens=device) for point in sources]
        self._shards = sources[0].shard

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each point."""
        return tuple(point.source.width for point in self._features)

    @property
    def bytes_read(self) -> int:
        """Bytes of features that were read from the cache so far."""
        return sum(point.bytes_read for point in self._features)

    @cached_property
    def grid(self) -> Grid:
        """Largest grid of the first point's samples, along each axis on its own."""
        grids = {self._features[0].source.grid(row) for row in self._rows()}
        return Grid(*(max(grid[axis] for grid in grids) for axis in range(3)))

    @property
    def source(self) -> Source:
        """The first point."""
        return self._features[0].source

    def tokens_of(self, row: int) -> Tensor:
        """Returns a sample's tokens at the first point as float32 [N, D], in memory of their own."""
        return self._features[0].tokens_of(row)

    def pooled_of(self, row: int) -> np.ndarray:
        """Returns the mean over a sample's tokens at the first point, float32 [D]."""
        return self._features[0].pooled_of(row)

    def standardization(self) -> Standardization:
        """Reads the features once and returns their standardization, fitted to the training samples alone."""
        first, *others = (point.fit(self.split.train, self._rows()) for point in self._features)
        return replace(first, others=tuple(others))

    def train_dataloader(self) -> BatchLoader[Batch]:
        """Returns shuffled batches of the training split."""
        shards: dict[int, list[int]] = {}
        for row in self.split.train:
            shards.setdefault(self._shards(row), []).append(row)
        options = self.options
        return self._loader(list(shards.values()), seed=options.shuffle_seed, mixed=options.shuffle_shards)

    def val_dataloader(self) -> BatchLoader[Batch]:
        """Returns batches of the validation split."""
        return self._loader([self.split.validation])

    def test_dataloader(self) -> BatchLoader[Batch]:
        """Returns batches of the test split."""
        return self._loader([self.split.test])

    def in_order(self, rows: Sequence[int]) -> BatchLoader[Batch]:
        """Returns batches of these rows as they come, for a single process."""
        return BatchLoader(BatchSampler([rows], self.options.batch_size), self.batch)

    def batch(self, rows: Sequence[int], buffer: int | None = None) -> Batch:
        """Returns features and targets of these rows of the sample table, padded to the longest.

        With the number of a `buffer`, tokens lie in memory that the next batch with that number will use.
        """
        first, *others = (point.collate(rows, buffer, tokens=self.tokens) for point in self._features)
        features = replace(first, others=tuple(others))
        targets = {task: [by_row.get(row) for row in rows] for task, by_row in self.targets.items()}
        size = sum((point.tokens if self.tokens else point.pooled).nbytes for point in features.every)
        return Batch(rows=tuple(rows), features=features, targets=targets, size=size)

    def _rows(self) -> list[int]:
        return [*self.split.train, *self.split.validation, *self.split.test]

    def _loader(
        self, shards: Sequence[Sequence[int]], *, seed: int | None = None, mixed: int = 1
    ) -> BatchLoader[Batch]:
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        rank = torch.distributed.get_rank() if world > 1 else 0
        sampler = BatchSampler(shards, self.options.batch_size, seed=seed, mixed=mixed, rank=rank, world=world)
        return BatchLoader(sampler, self.batch)


def residence(size: int, options: TrainingOptions) -> torch.device | None:
    """Returns the device that keeps this many bytes of tokens during training; None where they are read in each epoch.

    With `resident` auto it is the GPU if they take less than half of what is free there, else the host if
    they take no more than `resident_bytes`.
    """
    host, cuda = torch.device("cpu"), torch.device("cuda")
    has_gpu = options.device in ("auto", "cuda") and torch.cuda.is_available()
    if options.resident == "auto":
        if has_gpu and 2 * size < torch.cuda.mem_get_info()[0]:
            return cuda
        return host if size <= options.resident_bytes else None
    return {"device": cuda if has_gpu else host, "host": host, "none": None}[options.resident]
