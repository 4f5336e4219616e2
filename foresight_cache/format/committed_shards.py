"""Commits of a cache as its writers read them: each must be the very bytes that a writer would write."""

from foresight_cache.errors import CorruptCache
from foresight_cache.format.commits import Commit
from foresight_cache.format.layout import CacheLayout, commit_key
from foresight_cache.format.stores import Store


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
