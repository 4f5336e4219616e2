"""What is damaged in a cache, by key."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from foresight_cache.copying.objects import Entry, has_bytes
from foresight_cache.errors import CorruptCache
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
    entries = _committed_entries(target, cache.layout)
    records = {commit_key(number): number for number in range(len(cache.layout.shards))}
    findings = tuple(finding for finding in verify(cache, advance) if not finding.harmless)
    tags: dict[str, str] = {}
    for key in dict.fromkeys(finding.place for finding in findings):
        if (tag := tag_of(target, key)) is None:
            continue
        # Once more, now that the state is known: somebody may have mended it meanwhile.
        if key in entries:
            damaged = not has_bytes(target, key, entries[key])
        else:
            damaged = key in records and not _is_sound(target, cache.layout, records[key])
        tags |= {key: tag} if damaged else {}
    return Damage(findings=findings, tags=tags)


def _committed_entries(target: WritableStore, cache: CacheLayout) -> dict[str, Entry]:
    """Returns the entries of all objects that sound commits list, by key."""
    entries: dict[str, Entry] = {}
    for number in range(len(cache.shards)):
        with suppress(CorruptCache):
            if commit := committed(target, cache, number):
                entries |= {object_key(name, number): entry for name, entry in commit.objects.items()}
    return entries


def _is_sound(target: WritableStore, cache: CacheLayout, number: int) -> bool:
    try:
        committed(target, cache, number)
    except CorruptCache:
        return False
    return True


def tag_of(target: WritableStore, key: str) -> str | None:
    """Returns what tells the state of an object from any later one; None where there is none."""
    try:
        return target.tag(key)
    except FileNotFoundError:
        return None
