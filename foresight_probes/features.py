"""From a cache to batches: sources of tokens, their standardisation, and the LightningDataModule over them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, Self

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.batches import Batch, Features
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split

Targets = Mapping[str, Mapping[int, Tensor]]
"""By task and row of the sample table; rows without a question for the task are left out."""


class Source(Protocol):
    """Tokens of every sample of a cache, by row of its sample table."""

    @property
    def name(self) -> str:
        """Under which results stand."""
        ...

    @property
    def width(self) -> int:
        """Channels."""
        ...

    def read(self, row: int) -> np.ndarray:
        """float32 [N, D] in raster order."""
        ...

    def grid(self, row: int) -> Grid: ...


class PointTokens:
    """The tokens of an extraction point as they are."""

    def __init__(self, cache: Cache, name: str) -> None:
        self._point = cache[name]
        self.name = name
        self.width = self._point.shape[2]

    def read(self, row: int) -> np.ndarray:
        return self._point[row]

    def grid(self, row: int) -> Grid:
        return self._point.grid_of(row)


class PixelPatches:
    """The input itself, cut into one patch per token of the cache's finest point, with values from 0 to 1.

    So a head that reads pixels has as many tokens, each from the same part of the image, as one that reads features.
    """

    name = PIXELS

    def __init__(self, cache: Cache) -> None:
        others = [name for name in cache.points if name != PIXELS]
        if not others:
            raise ProbeError(f"{cache.path} has no point besides pixels, so there is no patch grid; extract one.")
        self._pixels = cache[PIXELS]
        self._patches = cache[max(others, key=lambda name: cache[name].shape[1])]
        self._first = next(row for row, sample in enumerate(cache.rows) if sample["status"] == "ok")

    @property
    def width(self) -> int:
        return int(self.read(self._first).shape[1])

    def read(self, row: int) -> np.ndarray:
        return patchify(self._pixels.grid(row), self.grid(row)) / np.float32(255)

    def grid(self, row: int) -> Grid:
        return self._patches.grid_of(row)


def patchify(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Cuts [T, H, W, C] into the cells of a grid: [N, D] in raster order, D = C times the pixels of a patch.

    Raises `ProbeError` where the grid does not divide the pixels.

    >>> patchify(np.arange(8).reshape(1, 2, 4, 1), Grid(1, 1, 2)).tolist()  # rows 0 1 2 3 and 4 5 6 7
    [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    frames, height, width, channels = pixels.shape
    if frames % grid.t or height % grid.h or width % grid.w:
        raise ProbeError(
            f"pixels {frames}×{height}×{width} cannot be cut evenly into a grid {grid.t}×{grid.h}×{grid.w}."
        )
    cut = pixels.reshape(grid.t, frames // grid.t, grid.h, height // grid.h, grid.w, width // grid.w, channels)
    return cut.transpose(0, 2, 4, 1, 3, 5, 6).reshape(grid.tokens, -1)


def open_source(cache: Cache, name: str) -> Source:
    """Raises `UnknownName` for a point that the cache lacks."""
    return PixelPatches(cache) if name == PIXELS else PointTokens(cache, name)


@lru_cache(maxsize=256)
def cells(grid: Grid) -> Tensor:
    """[N, 4] float32: centre x, centre y, width and height of each token's cell; the same in every frame.

    >>> cells(Grid(1, 1, 2)).tolist()
    [[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]]
    """
    rows, columns = torch.meshgrid(torch.arange(grid.h), torch.arange(grid.w), indexing="ij")
    x, y = (columns + 0.5) / grid.w, (rows + 0.5) / grid.h
    frame = torch.stack([x, y, torch.full_like(x, 1 / grid.w), torch.full_like(y, 1 / grid.h)], dim=-1)
    return frame.reshape(-1, 4).repeat(grid.t, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standardisation:
    """Mean and standard deviation per channel, [D] float32 each, of tokens and of the means over tokens."""

    token_mean: Tensor
    token_scale: Tensor
    pooled_mean: Tensor
    pooled_scale: Tensor

    @classmethod
    def fit(cls, samples: Iterator[Tensor]) -> Self:
        """From the tokens [N, D] of the training samples, in float64, in one pass."""
        tokens, pooled = _Moments(), _Moments()
        for sample in samples:
            exact = sample.double()
            tokens.add(exact)
            pooled.add(exact.mean(0, keepdim=True))
        return cls(token_mean=tokens.mean, token_scale=tokens.scale, pooled_mean=pooled.mean, pooled_scale=pooled.scale)

    def to(self, device: torch.device) -> "Standardisation":
        return Standardisation(
            token_mean=self.token_mean.to(device),
            token_scale=self.token_scale.to(device),
            pooled_mean=self.pooled_mean.to(device),
            pooled_scale=self.pooled_scale.to(device),
        )

    def __call__(self, features: Features) -> Features:
        tokens = (features.tokens - self.token_mean).div_(self.token_scale)  # in place: new memory costs more than sums
        if not features.mask.all():
            tokens.mul_(features.mask[..., None])
        return replace(features, tokens=tokens, pooled=(features.pooled - self.pooled_mean) / self.pooled_scale)


class _Moments:
    """Running sums over the rows of [N, D] tensors."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor = torch.zeros((), dtype=torch.float64)
        self.squares: Tensor = torch.zeros((), dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        self.count += len(rows)
        self.total = self.total + rows.sum(0)
        self.squares = self.squares + rows.square().sum(0)

    @property
    def mean(self) -> Tensor:
        return (self.total / self.count).float()

    @property
    def scale(self) -> Tensor:
        """The standard deviation; 1 for a channel that does not vary, which then is 0 everywhere."""
        mean = self.total / self.count
        deviation = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        varies = deviation > 1e-6 * (1 + mean.abs())
        return torch.where(varies, deviation, torch.ones_like(deviation)).float()


class FeatureData(LightningDataModule):
    """Batches of one source over the three sides of a split, the same for the same options.

    Features that fit `resident_bytes` are read once and kept; larger ones are read for every batch.
    """

    def __init__(self, source: Source, split: Split, targets: Targets, options: TrainingOptions) -> None:
        super().__init__()
        self.source, self.split, self.targets, self.options = source, split, targets, options
        rows = [*split.train, *split.validation, *split.test]
        self.size = sum(source.grid(row).tokens for row in rows) * source.width * 4
        """Bytes of all features as float32."""
        self.size_of_batch = self.size * options.batch_size // len(rows)
        """The same for a batch, on average."""
        self._tokens: Callable[[int], Tensor] = self._read
        if self.size <= options.resident_bytes:
            self._tokens = {row: self._read(row) for row in rows}.__getitem__

    def standardisation(self) -> Standardisation:
        """Fitted to the training samples alone."""
        return Standardisation.fit(self._tokens(row) for row in self.split.train)

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.split.train, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.split.validation, shuffle=False)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.split.test, shuffle=False)

    def batch(self, rows: Sequence[int]) -> Batch:
        """Features and targets of these rows of the sample table, padded to the longest."""
        tokens = [self._tokens(row) for row in rows]
        padded = pad_sequence(tokens, batch_first=True)
        lengths = torch.tensor([len(sample) for sample in tokens])
        features = Features(
            tokens=padded,
            pooled=padded.sum(1) / lengths[:, None],
            mask=torch.arange(padded.shape[1]) < lengths[:, None],
            cells=pad_sequence([cells(self.source.grid(row)) for row in rows], batch_first=True),
        )
        targets = {task: [by_row.get(row) for row in rows] for task, by_row in self.targets.items()}
        return Batch(rows=tuple(rows), features=features, targets=targets, size=padded.nbytes)

    def _read(self, row: int) -> Tensor:
        return torch.from_numpy(self.source.read(row))

    def _loader(self, rows: Sequence[int], *, shuffle: bool) -> DataLoader[Batch]:
        seed = self.options.shuffle_seed if shuffle else None
        batches = _RowBatches(rows, self.options.batch_size, seed)
        return DataLoader(_BatchesByRows(self.batch), batch_size=None, sampler=batches)


class _BatchesByRows(Dataset[Batch]):
    """Looks like a dataset whose index is a list of rows."""

    def __init__(self, make: Callable[[Sequence[int]], Batch]) -> None:
        self._make = make

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        return self._make(rows)


class _RowBatches(Sampler[list[int]]):
    """Rows in groups; with a seed in another order in each epoch, which depends on seed and epoch alone."""

    def __init__(self, rows: Sequence[int], batch_size: int, seed: int | None) -> None:
        self._rows, self._batch_size, self._seed = list(rows), batch_size, seed
        self._epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = self._rows
        if self._seed is not None:
            rows = np.random.default_rng([self._seed, self._epoch]).permutation(rows).tolist()
            self._epoch += 1
        for start in range(0, len(rows), self._batch_size):
            yield rows[start : start + self._batch_size]
