"""The commit of what was copied: written last, and joined with what is committed there already."""

from dataclasses import replace

from foresight_cache.copying.parts import without_text
from foresight_cache.errors import CorruptCache
from foresight_cache.format.commits import Commit, SampleRow
from foresight_cache.format.layout import CacheLayout, commit_key
from foresight_cache.format.stores import Store
from foresight_cache.format.stores.writable import WritableStore


def read_commit(store: Store, cache: CacheLayout, number: int) -> Commit | None:
    """Returns the record of a shard; None where there is none. Raises `CorruptCache` for one that is not sound."""
    key = commit_key(number)
    place = f"{store.place}/{key}"
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    commit = Commit.from_json(data, place)
    commit.check_belongs(cache, key, place)
    if commit.to_json() != data:
        raise CorruptCache(f"{place} is not spelled as it was written")
    return commit


def write_commit(target: WritableStore, cache: CacheLayout, commit: Commit, bad: str | None = None) -> None:
    """Commits objects that are there, beside those that are committed already.

    `bad` is the tag of a damaged record that this one replaces. Raises `CorruptCache` where the record that is there
    tells of other samples.
    """
    key = commit_key(commit.shard)
    if bad is not None and target.replace(key, bad, commit.to_json()):
        return
    while True:
        there = read_commit(target, cache, commit.shard)
        if there is None:
            if target.create(key, commit.to_json()):
                return
            continue  # another process was quicker: once more, beside what it committed
        both = joined(there, commit, f"{target.place}/{key}")
        if both == there or target.swap(key, there.to_json(), both.to_json()):
            return


def joined(there: Commit, new: Commit, place: str) -> Commit:
    """Returns a commit with the objects of both; what is there stays as it is.

    Raises `CorruptCache` where they tell of other samples.
    """
    if list(map(without_text, there.rows)) != list(map(without_text, new.rows)):
        raise CorruptCache(
            f"{place} tells of other samples or grids than the source of the copy, so that nothing was added to it; "
            "copy into another folder"
        )
    rows = tuple(map(_with_grids_of_both, there.rows, new.rows))
    return replace(there, objects={**new.objects, **there.objects}, rows=rows)


def _with_grids_of_both(there: SampleRow, new: SampleRow) -> SampleRow:
    return replace(there, grids={**new.grids, **there.grids})
