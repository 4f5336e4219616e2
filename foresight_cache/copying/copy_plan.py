"""What a copy has to do: the objects that the target lacks, whether they fit, and whether they may go there at all."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from foresight_cache.copying.objects import Entry
from foresight_cache.copying.parts import Part, commit_of, layout_of
from foresight_cache.errors import CacheError, CorruptCache, FingerprintMismatch
from foresight_cache.fingerprint import origin_differences, refusal
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_shards import committed
from foresight_cache.format.layout import ROOT_KEY, CacheLayout, commit_key, object_key
from foresight_cache.format.merging import layout_differences, merged_layout
from foresight_cache.format.metadata import read_root
from foresight_cache.format.stores import WritableStore
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import format_bytes

_AT_ONCE = 32
"""Records that are read at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardLack:
    """What the target lacks of one shard."""

    wanted: Commit
    """The record that it is to have, of the part alone."""
    missing: Mapping[str, Entry]
    """Entries of objects that are not there, or not committed, by point."""
    lost: tuple[str, ...]
    """Those of them that are committed all the same."""
    different: tuple[str, ...]
    """Points whose committed objects are there with other bytes than the source's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyPlan:
    """A part of a cache, and a place where it is to be."""

    source: Cache
    target: WritableStore
    part: Part
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Tags of the target's objects and records that were found damaged, by key; they are replaced."""

    @property
    def layout(self) -> CacheLayout:
        """Layout of the copy, where nothing else is there."""
        return layout_of(self.source.layout, self.part)

    def check_target(self) -> None:
        """Raises `FingerprintMismatch` where the target is another cache, `NotACache` where it is something else."""
        try:
            there = read_root(self.target.read(ROOT_KEY), self.target.place)
        except (FileNotFoundError, NotADirectoryError):
            merged_layout(self.target, self.layout)  # refuses what is no cache
            return
        phrases = layout_differences(there, self.layout)
        if not phrases and there.digest != self.layout.digest:  # the same weights by another name
            phrases = origin_differences(there.fingerprint, self.layout.fingerprint)
        if phrases:
            start = f"{self.target.place} holds another cache than {self.source.path}, with another"
            raise FingerprintMismatch(refusal(phrases, start, "name another folder"))

    def wanted(self, number: int) -> Commit | None:
        """Returns the record that a shard is to have, of the part alone; None where the source has not committed it.

        Raises `CorruptCache` where the source's is damaged.
        """
        whole = committed(self.source.store, self.source.layout, number)
        return commit_of(whole, self.part.points, self.source.layout) if whole else None

    def lack(self, wanted: Commit, sizes: Mapping[str, int] | None = None) -> ShardLack:
        """Returns what the target lacks of a shard; `sizes` are those of its objects, where they were listed.

        Raises `CorruptCache` where the target's record is damaged.
        """
        there = None
        if commit_key(wanted.shard) not in self.damaged:
            there = committed(self.target, self.source.layout, wanted.shard)
        entries = there.objects if there else {}
        missing: dict[str, Entry] = {}
        different = []
        for name, entry in wanted.objects.items():
            if name in entries and entries[name]["sha256"] != entry["sha256"]:
                different.append(name)
            elif name not in entries or not self._is_there(object_key(name, wanted.shard), entry["bytes"], sizes):
                missing[name] = entry
        lost = tuple(name for name in missing if name in entries)
        return ShardLack(wanted=wanted, missing=missing, lost=lost, different=tuple(different))

    def _is_there(self, key: str, size: int, sizes: Mapping[str, int] | None) -> bool:
        if key in self.damaged:
            return False
        if sizes is not None:
            return sizes.get(key) == size
        try:
            return self.target.ranges(key)[0] == size
        except FileNotFoundError:
            return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What all shards of a plan lack together, as it was found at the start."""

    sizes: Mapping[int, tuple[int, ...]]
    """Bytes of each missing object, by shard."""
    absent: tuple[int, ...]
    """Shards that the source has not committed, or not with all points of the part."""
    different: tuple[str, ...]
    """Keys of objects that the target has with other bytes than the source."""
    problems: tuple[str, ...]
    """What is wrong with records of shards that cannot be copied, in sentences."""

    @property
    def size(self) -> int:
        """Bytes of the missing objects."""
        return sum(map(sum, self.sizes.values()))

    def check_room(self, plan: CopyPlan) -> None:
        """Raises `CacheError` where the disk of the target cannot hold what is missing."""
        room = plan.target.room()
        if room is None or room.free is None:
            return
        sizes = (size for of_shard in self.sizes.values() for size in of_shard)
        needed = sum(-(-size // room.block) * room.block for size in sizes)
        if needed > room.free:
            raise CacheError(
                f"the copy at {plan.target.place} needs {format_bytes(needed)} more and the disk of {room.folder} has "
                f"{format_bytes(room.free)} free; free {format_bytes(needed - room.free)} there, name another folder "
                "or keep fewer --points or --shards"
            )


def survey(plan: CopyPlan) -> Survey:
    """Reads the records of both places, many at once, and writes nothing."""
    listed = plan.target.sizes()
    sizes: dict[int, tuple[int, ...]] = {}
    absent: list[int] = []
    different: list[str] = []
    problems: list[str] = []

    def look(number: int) -> None:
        try:
            wanted = plan.wanted(number)
            lack = plan.lack(wanted, listed) if wanted else None
        except CorruptCache as error:
            problems.append(str(error))
            return
        if lack is None or len(lack.wanted.objects) < len(plan.part.points):
            absent.append(number)
        if lack is None:
            return
        if lack.missing:
            sizes[number] = tuple(entry["bytes"] for entry in lack.missing.values())
        different.extend(object_key(name, number) for name in lack.different)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(look, plan.part.shards))
    return Survey(
        sizes=dict(sorted(sizes.items())),
        absent=tuple(sorted(absent)),
        different=tuple(sorted(different)),
        problems=tuple(sorted(problems)),
    )
