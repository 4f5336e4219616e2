"""One point of a cache as an array that is read when samples are asked for, by any way to name them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from foresight_cache.errors import BadSample, CacheError, UsageError
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import open_committed
from foresight_cache.format.layout import CacheLayout, Level
from foresight_cache.format.shard_object import FAR_READ, NEAR_READ, ShardObjectReader
from foresight_cache.format.stores import Store
from foresight_cache.sample_selection import SampleNumbers, Selection
from foresight_cache.sample_table import SampleTableRow, grid_on
from foresight_cache.samples import Grid

if TYPE_CHECKING:
    import torch
    import xarray as xr
    import zarr

_BAD: dict[str, bool] = {"raise": True, "skip": False}
"""Whether a loop stops at a quarantined sample, by what a user calls it."""


class OpenCache(Protocol):
    """A cache, as far as a point of it needs it."""

    path: str
    store: Store
    layout: CacheLayout
    digest: str
    fingerprint: dict[str, Any]

    @property
    def commits(self) -> Sequence[Commit]: ...

    @property
    def rows(self) -> Sequence[SampleTableRow]: ...

    @property
    def numbers(self) -> SampleNumbers: ...

    @property
    def grids(self) -> Mapping[Level, frozenset[Grid]]: ...

    @property
    def zarr(self) -> "zarr.Group": ...

    def __len__(self) -> int: ...


class CachedPoint:
    """One point's array [sample, token, channel], lazy; samples count as in `cache.samples`.

    Wherever samples are named, `sample_selection.Selection` says how: by number, id, slice, mask or list.
    """

    def __init__(self, cache: OpenCache, name: str) -> None:
        self.cache, self.name = cache, name
        self.layout = cache.layout.points[name]
        self._shards = lru_cache(maxsize=64)(self._open_shard)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cache, self.name)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, tokens (the most of any sample), channels."""
        most = max((grid.tokens for grid in self._grids), default=self.layout.tokens)
        return len(self.cache), most, self.layout.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored numbers; `ml_dtypes.bfloat16` for bfloat16."""
        return self.layout.numpy_dtype

    @property
    def number_dtype(self) -> np.dtype[Any]:
        """Type of the numbers as numpy gets them: uint8 of pixels and labels, else float32."""
        return self.dtype if self.dtype.kind == "u" else np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, samples: Selection) -> np.ndarray:
        """Returns the tokens of one sample, [N, D] in raster order over `grid_of`, or of several, [B, N, D].

        They are float32, and uint8 of pixels and labels. Every byte is checked against its checksum. Raises
        `NoSuchSample` and `UsageError` where no samples are meant, `CacheError` where several differ in size,
        `BadSample` for a quarantined one and `CorruptCache` where bytes are not those that were written.
        """
        if type(samples) is tuple:  # of Python's own making, and no row of a table
            raise UsageError(
                f"a cached point takes one index, that of samples, and got {len(samples)}; index what it returns, or "
                "take point.to_xarray() or point.zarr, which have all axes"
            )
        return self._read(samples, self.number_dtype)[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields each sample as `point[i]` returns it. Raises `BadSample` at a quarantined one."""
        return self.each()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns all samples as numpy asks for them. Raises what `point[:]` raises."""
        if copy is False:
            raise ValueError(f"{self.name} is read from {self.cache.path}, so that an array of it is always a copy")
        numbers_BND = self[:]
        return numbers_BND if dtype is None else numbers_BND.astype(dtype, copy=False)

    def each(self, samples: Selection = ..., *, bad: Literal["raise", "skip"] = "raise") -> Iterator[np.ndarray]:
        """Yields samples one by one, of any size, as `point[i]` returns them; all in order unless told which.

        At a quarantined one it raises `BadSample`, or passes it over where `bad` is "skip": what is yielded are then
        fewer than were asked for.
        """
        if bad not in _BAD:
            raise UsageError(f"bad is {bad!r}, expected 'raise' or 'skip'")
        found, rows = self.cache.numbers.find(samples), self.cache.rows
        numbers = [found] if isinstance(found, int) else found
        return (self[number] for number in numbers if _BAD[bad] or rows[number]["status"] == "ok")

    def stored(self, sample: Selection) -> np.ndarray:
        """Returns the tokens of one sample in the stored type, read-only [N, D]."""
        return next(self._stored_of_one_shard([self._row(sample)]))

    def stored_into(self, sample: Selection, out_ND: np.ndarray, *, check: bool = True) -> None:
        """Reads what `stored` returns into `out_ND`, a C-contiguous [N, D] of the stored type that is used again.

        Without `check` checksums are not verified: for bytes that were verified before, on an earlier pass.
        """
        row, point = self._row(sample), self.layout
        tokens = self._grid_of(row).tokens
        if out_ND.shape != (tokens, point.width) or out_ND.dtype != self.dtype or not out_ND.flags.c_contiguous:
            raise CacheError(f"sample {sample} of {self.name} needs a contiguous {(tokens, point.width)} {self.dtype}")
        shard = row["shard"]
        fill = partial(self.cache.store.fill, layout.object_key(self.name, shard))
        whole, rest = divmod(tokens, point.tokens_per_chunk)
        bytes_of_whole = out_ND[: tokens - rest].reshape(-1).view(np.uint8)
        parts = [part.data for part in bytes_of_whole.reshape(whole, point.chunk_bytes)]
        scratch = np.empty((point.tokens_per_chunk if rest else 0, point.width), self.dtype)
        if rest:
            parts.append(scratch.reshape(-1).view(np.uint8).data)
        self._shards(shard).chunks_into(self._chunks_of(row), parts, fill, check=check)
        if rest:
            out_ND[-rest:] = scratch[:rest]

    def grid_of(self, sample: Selection) -> Grid:
        """Returns the grid on which the tokens of one sample lie. Raises `BadSample` for a quarantined one."""
        return self._grid_of(self._row(sample))

    def grid(self, samples: Selection) -> np.ndarray:
        """Returns what `point[samples]` returns on its grid: of one sample [T, H, W, D], of several [B, T, H, W, D]."""
        numbers, grid = self._read(samples, self.number_dtype)
        return numbers.reshape(*numbers.shape[:-2], *grid, self.layout.width)

    def torch(self, samples: Selection) -> "torch.Tensor":
        """Returns the tokens of one sample, [N, D], or of several, [B, N, D], in the stored type.

        Raises what `point[samples]` raises.
        """
        import torch

        numbers, _ = self._read(samples, self.dtype)
        if self.layout.dtype == "bfloat16":
            return torch.from_numpy(numbers.view(np.uint16)).view(torch.bfloat16)
        return torch.from_numpy(numbers)

    def to_xarray(self) -> "xr.DataArray":
        """Returns a labelled lazy array of all samples; missing tokens and bad samples are NaN.

        Its axes are (sample, t, y, x, channel) where all samples have one grid, else (sample, token, channel). It is
        float32, and of pixels and labels uint8 where nothing is missing.
        """
        from foresight_cache.xarray_view import data_array

        return data_array(self)

    @property
    def zarr(self) -> "zarr.Array[Any]":
        """Zarr's view of the point, read-only; `Cache.zarr` says what it holds and what it raises."""
        from foresight_cache.zarr_view import zarr_array

        return zarr_array(self.cache.zarr, self.name)

    def __repr__(self) -> str:
        return f"<point {self.name} {self.shape} {self.layout.dtype} of {self.cache.path}>"

    @property
    def _grids(self) -> frozenset[Grid]:
        return self.cache.grids[self.layout.level]

    def _row(self, sample: Selection) -> SampleTableRow:
        return self.cache.rows[self.cache.numbers.one(sample)]

    def _grid_of(self, row: SampleTableRow) -> Grid:
        grid = grid_on(row, self.layout.level)
        if row["status"] != "ok" or grid is None:
            raise BadSample(
                f"sample {row['id']} is quarantined: {row['reason']}; choose samples whose status in cache.samples is "
                "'ok', or pass such ones over with point.each(bad='skip')"
            )
        return grid

    def _read(self, samples: Selection, dtype: np.dtype[Any]) -> tuple[np.ndarray, Grid]:
        """Returns the tokens of one sample, [N, D], or of several, [B, N, D], and their grid."""
        found = self.cache.numbers.find(samples)
        if isinstance(found, int):
            return self.stored(found).astype(dtype), self.grid_of(found)
        grid = self._common_grid(found)
        numbers_BND = np.empty((len(found), grid.tokens, self.layout.width), dtype)
        rows = [self.cache.rows[number] for number in found]
        of_shards = (self._stored_of_one_shard(list(group)) for _, group in groupby(rows, key=itemgetter("shard")))
        for position, tokens in enumerate(chain.from_iterable(of_shards)):
            numbers_BND[position] = tokens
        return numbers_BND, grid

    def _stored_of_one_shard(self, rows: Sequence[SampleTableRow]) -> Iterator[np.ndarray]:
        """Yields the tokens [N, D] of samples of one shard, read in few pieces."""
        counts = [self._grid_of(row).tokens for row in rows]
        positions = [position for row in rows for position in self._chunks_of(row)]
        chunks = self._shards(rows[0]["shard"]).chunks(positions)
        for row, tokens in zip(rows, counts, strict=True):
            parts = [np.frombuffer(chunk, self.dtype) for chunk in islice(chunks, len(self._chunks_of(row)))]
            numbers = parts[0] if len(parts) == 1 else np.concatenate(parts)
            yield numbers.reshape(-1, self.layout.width)[:tokens]

    def _chunks_of(self, row: SampleTableRow) -> range:
        """Returns the positions of a sample's inner chunks in the object of its shard."""
        first = row["slot"] % self.cache.layout.samples_per_shard * self.layout.chunks_per_sample
        return range(first, first - (-self._grid_of(row).tokens // self.layout.tokens_per_chunk))

    def _common_grid(self, numbers: Sequence[int]) -> Grid:
        grids = {self.grid_of(number) for number in numbers} if numbers else self._grids
        if len(grids) != 1:
            sizes = ["×".join(map(str, grid)) for grid in sorted(grids)]
            shown = ", ".join([*sizes[:3], *(["…"] if len(sizes) > 3 else [])])
            raise CacheError(
                f"samples of {self.name} that are asked for at once must have one grid, these have {len(grids)} "
                f"({shown}); read them one by one, as with point.each(samples)"
            )
        return next(iter(grids))

    def _open_shard(self, shard: int) -> ShardObjectReader:
        size = next(commit.objects[self.name]["bytes"] for commit in self.cache.commits if commit.shard == shard)
        at_once = FAR_READ if self.cache.store.reads_at_once > 1 else NEAR_READ
        return open_committed(self.cache.store, self.cache.layout, self.name, shard, size, at_once)
