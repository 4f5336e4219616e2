"""A cached point as a labelled lazy `xarray.DataArray`."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from foresight_cache.format.layout import PointLayout
from foresight_cache.sample_table import SampleTableRow, grid_on


class ReadableTable(Protocol):
    """A cache, as far as a view needs it."""

    digest: str

    @property
    def rows(self) -> Sequence[SampleTableRow]: ...


class ReadablePoint(Protocol):
    """A cached point, as far as a view needs it."""

    name: str
    layout: PointLayout

    @property
    def cache(self) -> ReadableTable: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: int) -> np.ndarray: ...


class _LazyPoint(BackendArray):
    """Reads a sample when, and only when, an index asks for it."""

    def __init__(self, point: ReadablePoint) -> None:
        self.point = point
        self.shape = point.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        sample, *rest = key
        if isinstance(sample, slice):
            chosen = range(*sample.indices(self.shape[0]))
            return np.stack([self._sample(index) for index in chosen])[:, *rest] if chosen else self._empty(rest)
        tokens = self._sample(int(sample))
        return tokens[tuple(rest)]

    def _sample(self, index: int) -> np.ndarray:
        tokens = np.full(self.shape[1:], np.nan, np.float32)
        if self.point.cache.rows[index]["status"] == "ok":
            values = self.point[index]
            tokens[: len(values)] = values
        return tokens

    def _empty(self, rest: list[Any]) -> np.ndarray:
        return np.empty((0, *self.shape[1:]), np.float32)[:, *rest]


def data_array(point: ReadablePoint) -> xr.DataArray:
    """Returns a lazy float32 array [sample, token, channel], its samples labelled by id, tokens by row and column.

       Dimensions are called as in the store's `dimension_names`.
    Tokens are labelled only where all samples have one grid.
    """
    rows = point.cache.rows
    sample, token, channel = point.layout.dimension_names(point.name)
    coordinates: dict[str, Any] = {sample: [row["id"] for row in rows]}
    # One vector for a whole sample lies nowhere, so that it has no row or column.
    spatial = point.layout.level != "pooled"
    grids = {grid for row in rows if spatial and (grid := grid_on(row, point.layout.level))}
    if len(grids) == 1:
        (grid,) = grids
        if grid.tokens == point.layout.tokens:
            t, y, x = np.unravel_index(np.arange(grid.tokens), grid)
            coordinates |= {"t": (token, t), "y": (token, y), "x": (token, x)}
    values = indexing.LazilyIndexedArray(_LazyPoint(point))
    return xr.DataArray(
        xr.Variable((sample, token, channel), values),
        coords=coordinates,
        name=point.name,
        attrs={"fingerprint": point.cache.digest, "stored_type": point.layout.dtype},
    )
