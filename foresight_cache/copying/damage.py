"""What is damaged in a cache, by key, and what of it is no damage but another computation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from foresight_cache.copying.committing import read_commit
from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import open_committed
from foresight_cache.format.layout import CacheLayout, commit_key, object_key
from foresight_cache.format.stores.writable import WritableStore
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance
from foresight_cache.verify import Finding, verify


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What a verification found wrong."""

    findings: tuple[Finding, ...]
    """All that is wrong and not harmless."""
    tags: Mapping[str, str]
    """Tags of the objects and commits that are there and damaged, by key."""


def find_damage(target: WritableStore, advance: Advance) -> Damage:
    """Reads every byte of a cache whose root is sound. Raises what `open_cache` raises."""
    cache = Cache(target)
    commits = _sound_commits(target, cache.layout)
    findings = tuple(finding for finding in verify(cache, advance) if not finding.harmless)
    mendable = {*_commit_keys(cache.layout), *_committed_keys(commits)}
    keys = dict.fromkeys(finding.place for finding in findings if finding.place in mendable)
    return Damage(findings=findings, tags=dict(_tags(target, keys)))


def unsound_strays(target: WritableStore, cache: CacheLayout) -> dict[str, str]:
    """Returns tags of objects that no commit of the target lists and that are not whole, by key.

    An object that is whole is no damage, whoever computed it: the next extraction adopts it.
    """
    sizes, strays = target.sizes(), list[str]()
    for number in range(len(cache.shards)):
        there = _committed(target, cache, number)
        listed = there.objects if there else {}
        keys = {object_key(name, number): name for name in cache.points if name not in listed}
        strays += [
            key for key, name in keys.items() if key in sizes and not _is_whole(target, cache, name, number, sizes[key])
        ]
    return dict(_tags(target, strays))


def _is_whole(target: WritableStore, cache: CacheLayout, name: str, number: int, size: int) -> bool:
    """Tells whether an object has a sound index and chunks, whatever their numbers are."""
    try:
        reader = open_committed(target, cache, name, number, size)
        for position in range(cache.samples_per_shard * cache.points[name].chunks_per_sample):
            if reader.has(position):
                reader.chunk(position)
    except CacheError:
        return False
    return True


def _sound_commits(target: WritableStore, cache: CacheLayout) -> list[Commit]:
    return [commit for number in range(len(cache.shards)) if (commit := _committed(target, cache, number))]


def _committed(target: WritableStore, cache: CacheLayout, number: int) -> Commit | None:
    try:
        return read_commit(target, cache, number)
    except CorruptCache:
        return None


def _commit_keys(cache: CacheLayout) -> Iterator[str]:
    return map(commit_key, range(len(cache.shards)))


def _committed_keys(commits: Iterable[Commit]) -> Iterator[str]:
    return (object_key(name, commit.shard) for commit in commits for name in commit.objects)


def _tags(target: WritableStore, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    for key in keys:
        try:
            yield key, target.tag(key)
        except FileNotFoundError:
            continue
