"""The door for notebooks: `open_cache(path)`. It imports no torch, and sees committed shards only.

cache = open_cache("caches/coco-448")
cache["vit.block_08"][7]            # float32 [N, D], raster order
"""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from foresight_cache.display import as_html, as_text
from foresight_cache.errors import BadSample, CacheError, NotACache, UnknownName
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import open_committed
from foresight_cache.format.metadata import read_root
from foresight_cache.format.shard_object import ShardObjectReader
from foresight_cache.format.stores import Store, open_store
from foresight_cache.points import LABELS, PIXELS, resolve
from foresight_cache.sample_table import COLUMNS, SampleTableRow, grid_on, table_rows
from foresight_cache.samples import Grid

if TYPE_CHECKING:
    import pandas as pd
    import torch
    import xarray as xr
    import zarr


def open_cache(place: str | os.PathLike[str]) -> "Cache":
    """Opens a cache in a local directory or an object store (`s3://bucket/prefix`).

    Raises `NotACache`, `UnsupportedFormat` and `CorruptCache`.
    """
    return Cache(open_store(place))


class Cache:
    """A cache as it stood when it was opened. Its samples are those of the shards that are committed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = store.place
        try:
            root = store.read(layout.ROOT_KEY)
        except (FileNotFoundError, NotADirectoryError):
            raise NotACache(
                f"{store.place} holds no cache: it has no {layout.ROOT_KEY}; make one with 'foresight extract'"
            ) from None
        self.layout = read_root(root, store.place)
        self.digest = self.layout.digest
        """SHA-256 of the fingerprint, hexadecimal: what the features were made from and how."""
        self.fingerprint = dict(self.layout.fingerprint)

    @cached_property
    def commits(self) -> tuple[Commit, ...]:
        """Records of the committed shards, in order. Raises `CorruptCache`.

        Shards that were added to the cache since it was opened are not among them.
        """
        there = set(self.store.names(layout.SAMPLES))
        keys = map(layout.commit_key, range(len(self.layout.shards)))
        return tuple(self._commit(key) for key in keys if key.removeprefix(f"{layout.SAMPLES}/") in there)

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of all that every committed shard has: the points, and `labels` where the dataset has dense labels."""
        return tuple(name for name in self.layout.points if all(name in commit.objects for commit in self.commits))

    @cached_property
    def points(self) -> tuple[str, ...]:
        """Names of the points that every committed shard has, in the order of computation."""
        return tuple(name for name in self.arrays if name != LABELS)

    @cached_property
    def samples(self) -> "pd.DataFrame":
        """One row per committed sample; row i belongs to `cache[point][i]`.

        Columns: `id dataset split group media file_name width height annotations frames frames_per_second` of the
        sample, `status` (`ok` or `bad`), `reason`, one grid (t, h, w) per level (`grid_pixel`, `grid_patch`,
        `grid_merged`), `frame_indices` (which of the sample's frames were taken), `frame_times` (seconds at which
        these are shown), `reversed` (whether the clip was played backwards), `shard`, and `slot`, the index on the
        first axis of the arrays.
        """
        import pandas as pd

        return pd.DataFrame(self.rows, columns=COLUMNS)

    @cached_property
    def rows(self) -> list[SampleTableRow]:
        """The rows of `samples` as plain mappings; a row lookup in pandas costs more than reading a token array."""
        fit = self.fingerprint["input"].get("fit", "stretch")
        per_shard = self.layout.samples_per_shard
        return [row for commit in self.commits for row in table_rows(commit, commit.shard * per_shard, fit)]

    def __getitem__(self, point: str) -> "CachedPoint":
        """Returns a point's array, unread. Raises `UnknownName`."""
        if point not in self.arrays:
            raise UnknownName("point of this cache", point, self.arrays)
        return CachedPoint(self, point)

    def select(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Returns the points that names, aliases (`E4`), sets or patterns mean here, in the order of computation.

        Aliases keep their fraction of the model's depth, whichever of its points are cached. Raises `UnknownName`.
        """
        taps = [*self.fingerprint["model"].get("taps", self.points), PIXELS]
        chosen: set[str] = set()
        for text in texts:
            named = {PIXELS} if text == PIXELS else {str(point) for point in resolve([text], taps)}
            if not named & set(self.points):
                raise UnknownName("point of this cache", text, self.points)
            chosen |= named & set(self.points)
        return tuple(name for name in self.points if name in chosen)

    def __contains__(self, point: str) -> bool:
        return point in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.points)

    def __len__(self) -> int:
        """Number of committed samples."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(len(commit.rows) for commit in self.commits)

    @property
    def complete(self) -> bool:
        """True where every shard is committed with every point."""
        return len(self.commits) == len(self.layout.shards) and len(self.arrays) == len(self.layout.points)

    def check_committed(self) -> None:
        """Raises `CacheError` where a shard is not committed, which other programs would read as zeros."""
        shards, committed = len(self.layout.shards), len(self.commits)
        if committed < shards:
            raise CacheError(
                f"{self.path} has {committed} of {shards} shards committed, and the others would read as zeros; "
                "run the same 'foresight extract' again to finish it"
            )

    @cached_property
    def zarr(self) -> "zarr.Group":
        """Zarr's view of the whole cache, read-only: what `zarr` offers and this class does not.

        Raises `CacheError` where the cache is not finished; reading raises `CorruptCache` where it is damaged.
        bfloat16 is its bits in uint16, and what is absent is 0: tokens that a sample does not have, and all
        tokens of a quarantined one, which `samples["status"]` tells.
        """
        from foresight_cache.zarr_view import zarr_group

        self.check_committed()
        return zarr_group(self)

    @property
    def size(self) -> int:
        """Bytes of all committed objects."""
        return sum(entry["bytes"] for commit in self.commits for entry in commit.objects.values())

    def summary(self) -> dict[str, str]:
        """Returns what the cache is, as labelled texts."""
        model, data = self.fingerprint["model"], self.fingerprint["dataset"]
        bad = sum(row.status == "bad" for commit in self.commits for row in commit.rows)
        seen = {"prompt": f"{model['prompt']!r}, which visual tokens see"} if model.get("sees_prompt") else {}
        return {
            "place": self.path,
            "model": f"{model['name']} ({model['weights']} weights, {model['dtype']})",
            **seen,
            "dataset": f"{data['name']}, input size {self.fingerprint['input']['size']}",
            "samples": f"{len(self)} of {self.layout.samples}" + (f", {bad} of them bad" if bad else ""),
            "shards": f"{len(self.commits)} of {len(self.layout.shards)} committed",
            "size": f"{self.size / 1e6:,.1f} MB",
            "fingerprint": self.digest,
        }

    def table(self) -> list[dict[str, str]]:
        """Returns one row per point: name, array shape, type, megabytes."""
        return [
            {
                "point": name,
                "shape": str(self[name].shape),
                "type": self.layout.points[name].dtype,
                "MB": f"{sum(commit.objects[name]['bytes'] for commit in self.commits) / 1e6:,.1f}",
            }
            for name in self.arrays
        ]

    @cached_property
    def statistics(self) -> "pd.DataFrame":
        """One row per shard and point: mean, std, quantiles of token norms, effective rank, as committed."""
        import pandas as pd

        rows = []
        for commit in self.commits:
            for point in self.points:
                if statistics := commit.objects[point].get("statistics"):
                    low, middle, high = statistics["norm_quantiles"]
                    norms = {"norm_05": low, "norm_50": middle, "norm_95": high}
                    plain = {name: statistics[name] for name in ("mean", "std", "effective_rank")}
                    rows.append({"shard": commit.shard, "point": point, **plain, **norms})
        columns = ["shard", "point", "mean", "std", "norm_05", "norm_50", "norm_95", "effective_rank"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        return as_text(self.summary(), self.table())

    def _repr_html_(self) -> str:
        return as_html(self.summary(), self.table())

    def _commit(self, key: str) -> Commit:
        place = f"{self.path}/{key}"
        commit = Commit.from_json(self.store.read(key), place)
        commit.check_belongs(self.layout, key, place)
        return commit


class CachedPoint:
    """One point's array [sample, token, channel], lazy; samples count as in `cache.samples`."""

    def __init__(self, cache: Cache, name: str) -> None:
        self.cache, self.name = cache, name
        self.layout = cache.layout.points[name]
        self._shards = lru_cache(maxsize=64)(self._open_shard)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cache, self.name)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, tokens (the most of any sample), channels."""
        return len(self.cache), self.layout.tokens, self.layout.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored numbers; `ml_dtypes.bfloat16` for bfloat16."""
        return self.layout.numpy_dtype

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, index: int) -> np.ndarray:
        """Returns the tokens of one sample, float32 [N, D], in raster order over `grid_of(index)`.

        Every byte is checked against its checksum. Raises `BadSample` for a quarantined sample and
        `CorruptCache` where bytes are not those that were written.
        """
        return self.stored(index).astype(np.float32)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields all samples but the quarantined ones, as `__getitem__` returns them."""
        return self.each()

    def each(self, *, bad: Literal["skip", "raise"] = "skip") -> Iterator[np.ndarray]:
        """Yields all samples in order, float32 [N, D]; passes a quarantined one over, or raises `BadSample`."""
        for index, row in enumerate(self.cache.rows):
            if row["status"] == "ok" or bad == "raise":
                yield self[index]

    def stored(self, index: int) -> np.ndarray:
        """Returns the tokens of one sample in the stored type, read-only [N, D]."""
        row = self._row(index)
        grid = self.grid_of(index)
        shard, position = row["shard"], row["slot"] % self.cache.layout.samples_per_shard
        reader = self._shards(shard)
        first = position * self.layout.chunks_per_sample
        used = -(-grid.tokens // self.layout.tokens_per_chunk)
        chunks = [np.frombuffer(reader.chunk(first + number), self.dtype) for number in range(used)]
        numbers = chunks[0] if used == 1 else np.concatenate(chunks)
        return numbers.reshape(-1, self.layout.width)[: grid.tokens]

    def stored_into(self, index: int, out_ND: np.ndarray, *, check: bool = True) -> None:
        """Reads what `stored` returns into `out_ND`, a C-contiguous [N, D] of the stored type that is used again.

        Without `check` checksums are not verified: for bytes that were verified before, on an earlier pass.
        """
        row, point = self._row(index), self.layout
        tokens = self.grid_of(index).tokens
        if out_ND.shape != (tokens, point.width) or out_ND.dtype != self.dtype or not out_ND.flags.c_contiguous:
            raise CacheError(f"sample {index} of {self.name} needs a contiguous {(tokens, point.width)} {self.dtype}")
        shard = row["shard"]
        reader, fill = self._shards(shard), partial(self.cache.store.fill, layout.object_key(self.name, shard))
        first = row["slot"] % self.cache.layout.samples_per_shard * point.chunks_per_sample
        whole, rest = divmod(tokens, point.tokens_per_chunk)
        parts = out_ND[: tokens - rest].reshape(-1).view(np.uint8)
        for number in range(whole):
            part = parts[number * point.chunk_bytes : (number + 1) * point.chunk_bytes]
            reader.chunk_into(first + number, part.data, fill, check=check)
        if rest:
            scratch = np.empty((point.tokens_per_chunk, point.width), self.dtype)
            reader.chunk_into(first + whole, scratch.reshape(-1).view(np.uint8).data, fill, check=check)
            out_ND[-rest:] = scratch[:rest]

    def grid_of(self, index: int) -> Grid:
        """Returns the grid on which the tokens of one sample lie. Raises `BadSample` for a quarantined one."""
        row = self._row(index)
        grid = grid_on(row, self.layout.level)
        if row["status"] != "ok" or grid is None:
            raise BadSample(f"sample {row['id']} is quarantined: {row['reason']}")
        return grid

    def grid(self, index: int) -> np.ndarray:
        """Returns the tokens of one sample, float32 [T, H, W, D]."""
        return self[index].reshape(*self.grid_of(index), self.layout.width)

    def torch(self, indices: Sequence[int]) -> "torch.Tensor":
        """Returns the tokens of several samples of one grid size, [B, N, D] in the stored type.

        Raises `CacheError` where the samples differ in size.
        """
        import torch

        arrays = [self.stored(index) for index in indices]
        if len({len(array) for array in arrays}) != 1:
            raise CacheError("these samples differ in size, expected one grid for all; read them one by one")
        stacked_BND = np.stack(arrays)
        if self.layout.dtype == "bfloat16":
            return torch.from_numpy(stacked_BND.view(np.uint16)).view(torch.bfloat16)
        return torch.from_numpy(stacked_BND)

    def to_xarray(self) -> "xr.DataArray":
        """Returns a labelled lazy float32 array [sample, token, channel]; missing tokens and bad samples are NaN."""
        from foresight_cache.xarray_view import data_array

        return data_array(self)

    @property
    def zarr(self) -> "zarr.Array[Any]":
        """Zarr's view of the point, read-only; `Cache.zarr` says what it holds and what it raises."""
        from foresight_cache.zarr_view import zarr_array

        return zarr_array(self.cache.zarr, self.name)

    def __repr__(self) -> str:
        return f"<point {self.name} {self.shape} {self.layout.dtype} of {self.cache.path}>"

    def _row(self, index: int) -> SampleTableRow:
        rows = self.cache.rows
        if not -len(rows) <= index < len(rows):
            raise IndexError(f"sample {index} of {len(rows)}")
        return rows[index]

    def _open_shard(self, shard: int) -> ShardObjectReader:
        size = next(commit.objects[self.name]["bytes"] for commit in self.cache.commits if commit.shard == shard)
        return open_committed(self.cache.store, self.cache.layout, self.name, shard, size)
