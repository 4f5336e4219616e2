"""The features of one point as batches need them: fitted once, kept or read again, and padded."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from threading import Lock, local

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresight_probes.batches import Features
from foresight_probes.features.batch_sampler import ahead
from foresight_probes.features.patches import grid_cells
from foresight_probes.features.sources import Source, as_tensor
from foresight_probes.features.standardization import Moments, Standardization, moments_of


class _Scratch(local):
    """Memory of one thread for a sample's tokens, in the stored type and as float32."""

    stored: np.ndarray = np.empty(0)
    floats: np.ndarray = np.empty(0)


class PointFeatures:
    """The features of a source, with the means over tokens, and the tokens, kept in memory or not."""

    def __init__(
        self, source: Source, rows: Sequence[int], *, keep_pooled: bool, keep_tokens: torch.device | None
    ) -> None:
        """Takes rows of the sample table; `keep_tokens` is the device on which tokens are kept."""
        self.source = source
        self.bytes_read = 0
        self._device = keep_tokens
        self._lengths = {row: source.grid(row).tokens for row in rows}
        ends = np.cumsum([0, *self._lengths.values()]).tolist()
        self._spans = dict(zip(self._lengths, pairwise(ends), strict=True))
        self._kept: Tensor | None = None
        self._keep_pooled = keep_pooled
        self._pooled: dict[int, np.ndarray] = {}
        self._verified: set[int] = set()
        self._buffers: dict[int, np.ndarray] = {}
        self._scratch, self._loading, self._counting = _Scratch(), Lock(), Lock()

    def fit(self, train: Sequence[int], rows: Sequence[int]) -> Standardization:
        """Makes the first pass: keeps features of `rows` where they are to be kept, and fits to the rows of `train`."""
        training = set(train)
        needed = sorted(rows if self._keep_pooled or self._device is not None else train)
        self._load()

        def read(row: int, _: int) -> tuple[int, np.ndarray, Moments | None]:
            tokens = self._as_float(self._read(row))
            pooled = tokens.mean(0)
            return row, pooled, moments_of(tokens) if row in training else None

        def training_moments() -> Iterator[Moments]:
            for row, pooled, own in ahead(needed, read):
                if self._keep_pooled:
                    self._pooled[row] = pooled
                if own is not None:
                    yield own

        return Standardization.fit(training_moments())

    def collate(self, rows: Sequence[int], buffer: int | None, *, tokens: bool) -> Features:
        """Returns features of these rows as they are stored, in the memory of that buffer."""
        grids = tuple(self.source.grid(row) for row in rows)
        if not tokens:
            pooled = torch.from_numpy(np.stack([self._pooled_of(row) for row in rows]))
            none = torch.zeros(len(rows), 1, self.source.width)
            mask = torch.zeros(len(rows), 1, dtype=torch.bool)
            return Features(tokens=none, pooled=pooled, mask=mask, cells=torch.zeros(len(rows), 1, 4), grids=grids)
        self._load()
        lengths = torch.tensor([self._lengths[row] for row in rows])
        alike = len(set(grids)) == 1
        if self._kept is not None and self._kept.device.type != "cpu":
            padded = pad_sequence([self._kept[slice(*self._spans[row])] for row in rows], batch_first=True)
        else:
            padded = self._filled(rows, buffer)
        own = (
            grid_cells(grids[0]).expand(len(rows), -1, -1)
            if alike
            else pad_sequence(list(map(grid_cells, grids)), True)
        )
        return Features(
            tokens=padded,
            pooled=torch.from_numpy(np.stack([self._pooled_of(row, padded[k]) for k, row in enumerate(rows)])),
            mask=torch.arange(padded.shape[1]) < lengths[:, None],
            cells=own,
            grids=grids,
        )

    def tokens_of(self, row: int) -> Tensor:
        """Returns a sample's tokens as float32 [N, D], in memory of their own."""
        return self._read(row).to(torch.float32, copy=True)

    def pooled_of(self, row: int) -> np.ndarray:
        """Returns the mean over a sample's tokens, float32 [D]."""
        return self._pooled_of(row)

    def _filled(self, rows: Sequence[int], buffer: int | None) -> Tensor:
        """Reads tokens [B, N, D] in the stored type."""
        lengths = [self._lengths[row] for row in rows]
        shape = (len(rows), max(lengths), self.source.width)
        flat = self._memory(buffer, int(np.prod(shape)))
        out_BND = flat[: np.prod(shape)].reshape(shape)
        for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            if self._kept is None:
                self._read_into(row, out_BND[index, :length])
            else:
                np.copyto(out_BND[index, :length].view(np.uint8), self._kept_bytes(row))
            out_BND[index, length:] = 0
        return as_tensor(out_BND)

    def _memory(self, buffer: int | None, size: int) -> np.ndarray:
        """Returns memory for at least `size` numbers of the stored type."""
        if buffer is None:
            return np.empty(size, self.source.dtype)
        if buffer not in self._buffers or len(self._buffers[buffer]) < size:
            self._buffers[buffer] = np.zeros(size, self.source.dtype)  # touched now, and not while it is filled
        return self._buffers[buffer]

    def _load(self) -> None:
        """Reads all tokens that are to be kept, once."""
        with self._loading:
            if self._device is None or self._kept is not None:
                return
            total = sum(self._lengths.values())
            memory = np.empty((total, self.source.width), self.source.dtype)
            spans = self._spans
            for _ in ahead(sorted(spans), lambda row, _: self._read_into(row, memory[slice(*spans[row])])):
                pass
            self._kept = as_tensor(memory).to(self._device)

    def _kept_bytes(self, row: int) -> np.ndarray:
        assert self._kept is not None, "asked of what is kept only"  # noqa: S101
        return self._kept[slice(*self._spans[row])].view(torch.uint8).numpy()

    def _read(self, row: int) -> Tensor:
        """Reads tokens [N, D] in the stored type, into memory of this thread."""
        if self._kept is not None:
            return self._kept[slice(*self._spans[row])].cpu()
        size = self._lengths[row] * self.source.width
        if self._scratch.stored.size < size:
            self._scratch.stored = np.zeros(size, self.source.dtype)
        out = self._scratch.stored[:size].reshape(-1, self.source.width)
        self._read_into(row, out)
        return as_tensor(out)

    def _read_into(self, row: int, out: np.ndarray) -> None:
        self.source.read_into(row, out, check=row not in self._verified)
        with self._counting:
            self._verified.add(row)
            self.bytes_read += out.nbytes

    def _as_float(self, stored: Tensor) -> np.ndarray:
        """Converts to float32, in memory of this thread."""
        if self._scratch.floats.size < stored.numel():
            self._scratch.floats = np.zeros(stored.numel(), np.float32)
        out: np.ndarray = self._scratch.floats[: stored.numel()].reshape(stored.shape)
        torch.from_numpy(out).copy_(stored)
        return out

    def _pooled_of(self, row: int, padded: Tensor | None = None) -> np.ndarray:
        """Returns the mean over a sample's tokens, [D] float32: the same bits whether it was kept or not."""
        if row in self._pooled:
            return self._pooled[row]
        stored = self._read(row) if padded is None else padded[: self._lengths[row]].cpu()
        pooled: np.ndarray = self._as_float(stored).mean(0)
        return pooled
