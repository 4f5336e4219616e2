"""xarray's engine `foresight`: `xr.open_dataset(CACHE, engine="foresight")`."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from foresight_cache.errors import ForesightError, NotACache, UsageError
from foresight_cache.reader import open_cache
from foresight_cache.xarray_view import dataset


class ForesightBackend(BackendEntrypoint):
    """The entry point by which xarray finds the engine."""

    description = "Opens a cache of features, bfloat16 as numbers, missing tokens as NaN"
    url = "docs/cache_format.md"

    def open_dataset(  # type: ignore[override]  # xarray allows more keywords, mypy does not
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        points: str | Sequence[str] | None = None,
    ) -> xr.Dataset:
        """Returns a lazy dataset with one variable [sample, token, channel] per point.

        They are float32, and those of pixels and labels uint8 where nothing is missing.
        `points` chooses by name, alias, set or pattern, as `Cache.select` does, also in one text with commas; all by
        default, and `labels`. Raises `CacheError` where a shard is not committed and what `open_cache` raises;
        reading raises `CorruptCache`.
        """
        if not isinstance(filename_or_obj, str | os.PathLike):
            raise UsageError(f"{filename_or_obj!r} is not the path or URL of a cache; expected one such as caches/coco")
        cache = open_cache(filename_or_obj)
        cache.check_committed()
        chosen = [cache[name] for name in cache.chosen(points)]
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        features = dataset(cache, chosen).drop_vars(dropped, errors="ignore")
        for variable in features.data_vars.values():  # what `chunks={}` gives: one chunk of dask per shard
            variable.encoding["preferred_chunks"] = {"sample": cache.layout.samples_per_shard}
        return features

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Returns true for a local directory that holds a cache, also one that `open_dataset` refuses."""
        if not isinstance(filename_or_obj, str | os.PathLike) or "://" in os.fspath(filename_or_obj):
            return False
        try:
            open_cache(filename_or_obj)
        except NotACache:
            return False
        except ForesightError:
            pass
        return True
