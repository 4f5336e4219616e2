"""What is damaged in a cache, by key."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foresight_cache.copying.objects import Entry, has_bytes
from foresight_cache.errors import CorruptCache
from foresight_cache.format.committed_shards import committed
from foresight_cache.format.layout import CacheLayout, commit_key, object_key
from foresight_cache.format.metadata import metadata
from foresight_cache.format.stores import WritableStore
from foresight_cache.reader import Cache

if TYPE_CHECKING:
    from foresight_cache.verify import Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What a verification found wrong."""

    findings: tuple["Finding", ...]
    """All that is wrong and not harmless."""
    tags: Mapping[str, str]
    """Tags of the objects and commits that are there and damaged, by key."""


def find_damage(target: WritableStore, findings: Iterable["Finding"]) -> Damage:
    """Returns the damage of a cache that was verified with these findings, and whose root is sound."""
    cache = Cache(target).layout
    entries, records = _committed_entries(target, cache), _records(cache)
    harmful = tuple(finding for finding in findings if not finding.harmless)
    tags: dict[str, str] = {}
    for key in dict.fromkeys(finding.place for finding in harmful):
        if (tag := tag_of(target, key)) is None:
            continue
        # Once more, now that the state is known: somebody may have mended it meanwhile.
        if key in entries:
            damaged = not has_bytes(target, key, entries[key])
        else:
            damaged = key in records and not _is_sound(target, cache, records[key])
        tags |= {key: tag} if damaged else {}
    return Damage(findings=harmful, tags=tags)


def still_wrong(target: WritableStore, damage: Damage) -> dict[str, str]:
    """Returns what is wrong at each key that is as it was found, after what could be mended was."""
    cache = Cache(target).layout
    entries, records, written = _committed_entries(target, cache), _records(cache), metadata(cache)

    def is_right(key: str) -> bool:
        if key in written:
            return target.read(key) == written[key]
        if tag_of(target, key) in (None, damage.tags.get(key)):
            return False
        if key in entries:
            return bool(target.ranges(key)[0] == entries[key]["bytes"])
        return key in records and _is_sound(target, cache, records[key])

    return {finding.place: finding.problem for finding in damage.findings if not is_right(finding.place)}


def _records(cache: CacheLayout) -> dict[str, int]:
    return {commit_key(number): number for number in range(len(cache.shards))}


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
