"""Cached points as labelled lazy arrays of xarray: one as a `DataArray`, several as a `Dataset`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from foresight_cache.format.layout import CacheLayout, Level, PointLayout
from foresight_cache.records import canonical_json
from foresight_cache.samples import Grid

if TYPE_CHECKING:
    from foresight_cache.sample_table import SampleTableRow


class ReadableTable(Protocol):
    """A cache, as far as a view needs it."""

    digest: str
    fingerprint: dict[str, Any]
    layout: CacheLayout

    @property
    def rows(self) -> "Sequence[SampleTableRow]": ...

    @property
    def grids(self) -> Mapping[Level, frozenset[Grid]]: ...


class ReadablePoint(Protocol):
    """A cached point, as far as a view needs it."""

    name: str
    layout: PointLayout

    @property
    def cache(self) -> ReadableTable: ...

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def number_dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, samples: int) -> np.ndarray: ...


class _LazyPoint(BackendArray):
    """Reads a sample when, and only when, an index asks for it; tokens lie on a grid where one is given.

    Missing numbers are NaN, so that integers are float32 where some are missing, as in pandas.
    """

    def __init__(self, point: ReadablePoint, grid: Grid | None) -> None:
        samples, tokens, channels = point.shape
        self.point = point
        self.shape = (samples, *(grid or (tokens,)), channels)
        is_whole = len(point.cache.grids[point.layout.level]) <= 1 and all(
            row["status"] == "ok" for row in point.cache.rows
        )
        self.dtype = point.number_dtype if is_whole else np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        sample, *rest = key
        if isinstance(sample, slice):
            chosen = range(*sample.indices(self.shape[0]))
            return np.stack([self._sample(index) for index in chosen])[:, *rest] if chosen else self._empty(rest)
        return self._sample(int(sample))[tuple(rest)]

    def _sample(self, index: int) -> np.ndarray:
        if self.point.cache.rows[index]["status"] != "ok":
            return np.full(self.shape[1:], np.nan, np.float32)
        values = self.point[index]
        if values.size == np.prod(self.shape[1:]):
            return values.astype(self.dtype, copy=False).reshape(self.shape[1:])
        tokens = np.full(self.shape[1:], np.nan, np.float32)
        tokens[: len(values)] = values
        return tokens

    def _empty(self, rest: list[Any]) -> np.ndarray:
        return np.empty((0, *self.shape[1:]), self.dtype)[:, *rest]


def data_array(point: ReadablePoint) -> xr.DataArray:
    """Returns a lazy array [sample, t, y, x, channel], its samples labelled by id, where all samples have one grid.

    Elsewhere, and of one vector per sample, it is [sample, token, channel].
    """
    grid = _common_grid(point)
    axes = dict(zip("tyx", map(range, grid), strict=True)) if grid else {}
    ids = [row["id"] for row in point.cache.rows]
    variable = _variable(point, ["sample", *(axes or ("token",)), "channel"], grid)
    return xr.DataArray(variable, coords={"sample": ids, **axes}, name=point.name)


def dataset(cache: ReadableTable, points: Sequence[ReadablePoint]) -> xr.Dataset:
    """Returns the points of one cache as variables [sample, token, channel] of a lazy dataset.

    Dimensions are called as in the store's `dimension_names`. Coordinates of samples are their id, `split`, `status`
    and, for each level, their number of tokens, such as `patch_tokens`. Tokens have labels, `patch_t`, `patch_y` and
    `patch_x`, where all samples have one grid.
    """
    coordinates = _sample_coordinates(cache, points)
    for point in points:
        level, grid = point.layout.level, _common_grid(point)
        places = np.unravel_index(np.arange(grid.tokens), grid) if grid else ()
        coordinates |= {f"{level}_{axis}": (level, place) for axis, place in zip("tyx", places, strict=False)}
    variables = {point.name: _variable(point, point.layout.dimension_names(point.name), None) for point in points}
    return xr.Dataset(variables, coordinates, _attributes(cache))


def gridded_dataset(cache: ReadableTable, points: Sequence[ReadablePoint]) -> xr.Dataset:
    """Returns the points of one cache as variables [sample, patch_t, patch_y, patch_x, channel] of a lazy dataset.

    A level whose samples differ in their grids has variables as of `dataset`, and so have vectors of whole samples.
    """
    coordinates, variables = _sample_coordinates(cache, points), {}
    for point in points:
        sample, tokens, channel = point.layout.dimension_names(point.name)
        grid = _common_grid(point)
        axes = {f"{tokens}_{axis}": range(size) for axis, size in zip("tyx", grid, strict=True)} if grid else {}
        coordinates |= axes
        variables[point.name] = _variable(point, [sample, *(axes or (tokens,)), channel], grid)
    return xr.Dataset(variables, coordinates, _attributes(cache))


def _sample_coordinates(cache: ReadableTable, points: Sequence[ReadablePoint]) -> dict[str, Any]:
    coordinates: dict[str, Any] = {"sample": [row["id"] for row in cache.rows]}
    coordinates |= {name: ("sample", [row[name] for row in cache.rows]) for name in ("split", "status")}
    for level in dict.fromkeys(point.layout.level for point in points):
        if level != "pooled":
            grids = [cast(Mapping[str, Any], row)[f"grid_{level}"] for row in cache.rows]
            coordinates[f"{level}_tokens"] = ("sample", [grid.tokens if grid else 0 for grid in grids])
    return coordinates


def _variable(point: ReadablePoint, dimensions: Sequence[str], grid: Grid | None) -> xr.Variable:
    return xr.Variable(
        dimensions,
        indexing.LazilyIndexedArray(_LazyPoint(point, grid)),
        attrs={"fingerprint": point.cache.digest, "stored_type": point.layout.dtype},
    )


def _common_grid(point: ReadablePoint) -> Grid | None:
    """Returns the grid that all samples have; None where there are several, and of vectors and words."""
    level = point.layout.level
    grids = point.cache.grids[level]
    return next(iter(grids)) if level not in ("pooled", "text") and len(grids) == 1 else None


def _attributes(cache: ReadableTable) -> dict[str, Any]:
    """Returns where the features come from, as texts and numbers that any file format can hold."""
    model, data = cache.fingerprint["model"], cache.fingerprint["dataset"]
    return {
        "foresight_format": cache.layout.format,
        "model": model["name"],
        "model_weights": model["weights"],
        "model_dtype": model["dtype"],
        "dataset": data["name"],
        "input_size": cache.fingerprint["input"]["size"],
        "fingerprint": cache.digest,
        "fingerprint_fields": canonical_json(cache.fingerprint).decode(),
    }
