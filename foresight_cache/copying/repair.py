"""A cache is mended: from another copy, object by object, or by taking out what is damaged, to be made again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from foresight_cache.copying.copier import copy_shards
from foresight_cache.copying.copy_plan import CopyPlan, Survey, survey
from foresight_cache.copying.damage import Damage, find_damage, still_wrong
from foresight_cache.copying.parts import Part
from foresight_cache.errors import CorruptCache, NotACache
from foresight_cache.format.commits import Commit
from foresight_cache.format.layout import ROOT_KEY, SAMPLES, CacheLayout
from foresight_cache.format.metadata import metadata, read_root
from foresight_cache.format.stores.writable import WritableStore
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.writer import CacheWriter

if TYPE_CHECKING:
    from foresight_cache.verify import Finding

Verify = Callable[[Cache], Sequence["Finding"]]
"""Function that returns all that is wrong in a cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mending:
    """A cache that was examined, and the copy of it that it is mended from."""

    plan: CopyPlan
    damage: Damage
    survey: Survey

    @property
    def lacks(self) -> int:
        """Objects and records that are missing or wrong; of shards that are not committed the record alone."""
        return len({finding.place for finding in self.damage.findings})

    def run(self, advance: Advance = silent, say: Callable[[str], None] = lambda _: None) -> list[str]:
        """Copies what is missing or damaged, and returns what is still wrong, in sentences; see `copy_shards`."""
        problems = [*self.survey.problems, *copy_shards(self.plan, self.survey.sizes, advance, say)]
        wrong = {finding.place for finding in self.damage.findings}
        refused = [key for key in self.survey.different if key in wrong]
        known = [key for key in wrong if key in refused or any(f"/{key} " in problem for problem in problems)]
        left = {key: problem for key, problem in still_wrong(self.plan.target, self.damage).items() if key not in known}
        refusals = [_refusal(key, self.plan.source) for key in refused]
        return [*problems, *refusals, *(f"{key}: {problem}" for key, problem in left.items())]


def examine(target: WritableStore, other: Cache, verify: Verify) -> Mending:
    """Finds what is wrong in a cache that is to be mended from another copy; of it only the metadata is mended yet.

    Only objects of the digest that the cache has committed are taken. Raises `FingerprintMismatch` for a copy of
    another cache, and `CacheError` where there is no room.
    """
    _mend_root(target, other)
    cache = Cache(target)
    plan = CopyPlan(source=other, target=target, part=_common_part(cache, other))
    plan.check_target()
    damage = find_damage(target, verify(cache))
    _write_metadata(target, cache.layout)
    plan = replace(plan, damaged=damage.tags)
    found = survey(plan)
    found.check_room(plan)
    return Mending(plan=plan, damage=damage, survey=found)


def take_out(target: WritableStore, verify: Verify) -> list[str]:
    """Removes the objects and commits that are damaged, and returns their keys; what is right stays.

    The same extraction then makes these alone. Raises `CorruptCache` where the root is damaged, which tells what the
    cache is.
    """
    cache = Cache(target)
    damage = find_damage(target, verify(cache))
    _write_metadata(target, cache.layout)
    return [key for key, tag in damage.tags.items() if target.remove(key, tag)]


def _mend_root(target: WritableStore, other: Cache) -> None:
    """Writes the other copy's root where there is none, or a damaged one, and what is there is of the same cache."""
    try:
        read_root(target.read(ROOT_KEY), target.place)
    except FileNotFoundError:
        _require_same(target, other)
        target.create(ROOT_KEY, metadata(other.layout)[ROOT_KEY])
    except CorruptCache:
        _require_same(target, other)
        target.replace(ROOT_KEY, target.tag(ROOT_KEY), metadata(other.layout)[ROOT_KEY])


def _require_same(target: WritableStore, other: Cache) -> None:
    """Raises `NotACache` where nothing tells that a folder without a sound root is a copy of this cache."""
    points = target.children("") & other.layout.points.keys()
    records = [name for name in target.names(SAMPLES) if name != "zarr.json"]
    if not points:
        raise NotACache(
            f"{target.place} has no {ROOT_KEY} and none of the points of {other.path}, so that there is nothing to "
            f"mend; copy the cache with 'foresight pull'"
        )
    for name in records:
        try:
            commit = Commit.from_json(target.read(f"{SAMPLES}/{name}"), f"{target.place}/{SAMPLES}/{name}")
        except CorruptCache:
            continue
        if commit.fingerprint_sha256 != other.digest:
            raise NotACache(
                f"{target.place} has no sound {ROOT_KEY}, and {SAMPLES}/{name} is of another cache than {other.path}; "
                "name a copy of the same one"
            )


def _common_part(cache: Cache, other: Cache) -> Part:
    """Returns the points and shards that both list."""
    names = tuple(name for name in other.layout.points if name in cache.layout.points)
    return Part(names, tuple(range(min(len(cache.layout.shards), len(other.layout.shards)))))


def _write_metadata(target: WritableStore, cache: CacheLayout) -> None:
    with CacheWriter(target, cache):
        pass


def _refusal(key: str, other: Cache) -> str:
    """Says that an object of another computation was not taken."""
    return f"{key}: {other.path} has other bytes than were committed here, computed apart, so that they were not taken"
