"""Cached points as labelled lazy arrays of xarray: one as a `DataArray`, several as a `Dataset`."""

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

    Dimensions are called as in the store's `dimension_names`. Tokens are labelled only where all samples have one
    grid.
    """
    variable = _variable(point)
    sample, token, _ = variable.dims
    labels = {axis: (token, values) for axis, values in _token_labels(point).items()}
    coordinates: dict[Any, Any] = {sample: [row["id"] for row in point.cache.rows], **labels}
    return xr.DataArray(variable, coords=coordinates, name=point.name)


def dataset(points: Sequence[ReadablePoint], rows: Sequence[SampleTableRow], attributes: dict[str, Any]) -> xr.Dataset:
    """Returns the points of one cache as variables of a lazy dataset, each as `data_array` returns it.

    Coordinates of samples are their id, `split`, `status` and, for each level, their number of tokens, such as
    `patch_tokens`. Labels of tokens carry their level: `patch_t`, `patch_y`, `patch_x`.
    """
    coordinates: dict[str, Any] = {"sample": [row["id"] for row in rows]}
    coordinates |= {name: ("sample", [row[name] for row in rows]) for name in ("split", "status")}
    for point in {point.layout.level: point for point in points}.values():
        level = point.layout.level
        if level != "pooled":
            grids = [grid_on(row, level) for row in rows]
            coordinates[f"{level}_tokens"] = ("sample", [grid.tokens if grid else 0 for grid in grids])
        coordinates |= {f"{level}_{axis}": (level, values) for axis, values in _token_labels(point).items()}
    return xr.Dataset({point.name: _variable(point) for point in points}, coordinates, attributes)


def _variable(point: ReadablePoint) -> xr.Variable:
    return xr.Variable(
        point.layout.dimension_names(point.name),
        indexing.LazilyIndexedArray(_LazyPoint(point)),
        attrs={"fingerprint": point.cache.digest, "stored_type": point.layout.dtype},
    )


def _token_labels(point: ReadablePoint) -> dict[str, np.ndarray]:
    """Returns time step, row and column of every token, where all samples have one grid; else nothing."""
    # One vector for a whole sample lies nowhere, so that it has no row or column.
    spatial = point.layout.level != "pooled"
    grids = {grid for row in point.cache.rows if spatial and (grid := grid_on(row, point.layout.level))}
    if len(grids) != 1:
        return {}
    (grid,) = grids
    if grid.tokens != point.layout.tokens:
        return {}
    return dict(zip("tyx", np.unravel_index(np.arange(grid.tokens), grid), strict=True))
