"""Commits of a cache as its writers read them: each must be the very bytes that a writer would write."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from foresight_cache.errors import CorruptCache
from foresight_cache.format.commits import Commit
from foresight_cache.format.layout import SAMPLES, CacheLayout, commit_key
from foresight_cache.format.stores import Store

_AT_ONCE = 16
"""Commits that are read side by side: a store that is far away takes its time for each."""


def all_committed(store: Store, cache: CacheLayout, names: Collection[str]) -> dict[int, Commit]:
    """Returns the commits of the shards that are there, by their numbers; `names` are those under `samples`.

    Raises `CorruptCache`.
    """
    shards = [shard for shard in range(len(cache.shards)) if commit_key(shard).removeprefix(f"{SAMPLES}/") in names]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = threads.map(lambda shard: committed(store, cache, shard), shards)
        return {shard: commit for shard, commit in zip(shards, found, strict=True) if commit}


def committed(store: Store, cache: CacheLayout, shard: int) -> Commit | None:
    """Returns the commit of a shard; None where there is none. Raises `CorruptCache`."""
    key = commit_key(shard)
    place = f"{store.place}/{key}"
    try:
        data = store.read(key)
    except (FileNotFoundError, NotADirectoryError):
        return None
    commit = Commit.from_json(data, place)
    commit.check_belongs(cache, key, place)
    if commit.to_json() != data:  # the same record, but the cache would not be that of one run
        raise CorruptCache(f"{place} is not spelled as it was written; remove it and extract the shard again")
    return commit
