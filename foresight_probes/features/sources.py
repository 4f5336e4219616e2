"""Sources of features: points of a cache, or its pixels cut into patches, sample by sample."""

from typing import Any, Protocol

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError
from foresight_cache.finiteness import not_finite
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid
from foresight_probes.features.patches import patchify

POINT_SEPARATOR = "+"
"""Separator between the names of points that a head takes at once."""


class Source(Protocol):
    """Tokens of every sample of a cache, by row of its sample table. Read in several threads at once."""

    @property
    def name(self) -> str:
        """Name of the point in results."""
        ...

    @property
    def width(self) -> int:
        """Channels."""
        ...

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Type of the numbers as they are read."""
        ...

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:
        """Reads tokens of `dtype` in raster order; without `check` what was read before is not verified again.

        Raises `ProbeError` for numbers that are not finite.
        """
        ...

    def grid(self, row: int) -> Grid:
        """Returns the grid of a sample's tokens."""
        ...

    def shard(self, row: int) -> int:
        """Returns the number of a sample's shard, whose rows lie in one object."""
        ...


class PointTokens:
    """The tokens of an extraction point as they are."""

    def __init__(self, cache: Cache, name: str) -> None:
        self._point = cache[name]
        self._rows = cache.rows
        self.name = name
        self.width = self._point.shape[2]
        self.dtype = self._point.dtype

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:
        self._point.stored_into(row, out_ND, check=check)
        if check and (count := not_finite(out_ND)):
            raise ProbeError(
                f"{self.name} of sample {self._rows[row]['id']} has {count} of {out_ND.size} numbers that are not "
                "finite, so that nothing can be learnt from it; 'foresight verify --values' lists all such samples: "
                "extract them again, or in another dtype"
            )

    def grid(self, row: int) -> Grid:
        return self._point.grid_of(row)

    def shard(self, row: int) -> int:
        return int(self._rows[row]["shard"])


class PixelPatches:
    """The input itself, cut into one patch per token of the cache's finest point, with values from 0 to 1.

    So a head that reads pixels has as many tokens, each from the same part of the image, as one that reads features.
    """

    name = PIXELS
    dtype = np.dtype(np.float32)

    def __init__(self, cache: Cache) -> None:
        others = [name for name in cache.points if name != PIXELS]
        if not others:
            raise ProbeError(f"{cache.path} has no point besides pixels, so there is no patch grid; extract one")
        self._pixels = cache[PIXELS]
        self._rows = cache.rows
        self._patches = cache[max(others, key=lambda name: cache[name].shape[1])]
        self._first = next(row for row, sample in enumerate(cache.rows) if sample["status"] == "ok")

    @property
    def width(self) -> int:
        return int(self.read(self._first).shape[1])

    def read(self, row: int) -> np.ndarray:
        """Returns the patches of a sample in raster order, [N, D] float32 from 0 to 1."""
        return patchify(as_tensor(self._pixels.grid(row)), self.grid(row)).numpy() / np.float32(255)

    def read_into(self, row: int, out_ND: np.ndarray, *, check: bool) -> None:  # noqa: ARG002 - the reader verifies always
        out_ND[:] = self.read(row)

    def grid(self, row: int) -> Grid:
        return self._patches.grid_of(row)

    def shard(self, row: int) -> int:
        return int(self._rows[row]["shard"])


def open_source(cache: Cache, name: str) -> Source:
    """Opens a point. Raises `UnknownName` for one that the cache lacks."""
    return PixelPatches(cache) if name == PIXELS else PointTokens(cache, name)


def open_sources(cache: Cache, names: str) -> tuple[Source, ...]:
    """Opens `vit.block_08` or, for heads that take several points at once, `vit.block_08+llm.layer_01`."""
    return tuple(open_source(cache, name) for name in names.split(POINT_SEPARATOR))


def as_tensor(array: np.ndarray) -> Tensor:
    """Returns a tensor of the same memory; bfloat16 becomes torch's."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)
