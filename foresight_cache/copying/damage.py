"""What is damaged in a cache, by key."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from foresight_cache.errors import CorruptCache
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_shards import committed
from foresight_cache.format.layout import CacheLayout, commit_key, object_key
from foresight_cache.format.stores import WritableStore
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


def _sound_commits(target: WritableStore, cache: CacheLayout) -> list[Commit]:
    commits: list[Commit] = []
    for number in range(len(cache.shards)):
        with suppress(CorruptCache):
            commits += filter(None, [committed(target, cache, number)])
    return commits


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
