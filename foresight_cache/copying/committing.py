"""The commit of what was copied: written last, and joined with what is committed there already."""

from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_shards import committed
from foresight_cache.format.layout import CacheLayout, commit_key
from foresight_cache.format.merging import united
from foresight_cache.format.stores import WritableStore


def write_commit(target: WritableStore, cache: CacheLayout, mine: Commit, bad: str | None = None) -> None:
    """Commits objects that are there, beside those that are committed already, which stay as they are.

    `bad` is the tag of a damaged record that this one replaces. Raises `CorruptCache` where the record that is there
    is damaged or tells of other samples.
    """
    key = commit_key(mine.shard)
    if bad is not None and target.replace(key, bad, mine.to_json()):
        return
    while True:
        theirs = committed(target, cache, mine.shard)
        if theirs is None:
            if target.create(key, mine.to_json()):
                return
            continue  # another process was quicker: once more, beside what it committed
        both = _united(theirs, mine, f"{target.place}/{key}")
        if both == theirs or target.swap(key, theirs.to_json(), both.to_json()):
            return


def _united(theirs: Commit, mine: Commit, place: str) -> Commit:
    try:
        return united(theirs, mine, place)
    except CacheError as error:  # of this shard alone; others can be copied
        raise CorruptCache(str(error)) from None
