"""Exact duplicates: samples whose media are the same bytes, found before anything is packed.

The same picture on two sides of a split is a leak. Within a set such samples get one group; `also` brings in sets
that were prepared before, and `shared` lists what two prepared sets have in common.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.clip_files import frame_files
from foresight_cache.errors import BadSample
from foresight_cache.preparation.selection import Record
from foresight_cache.samples import Sample
from foresight_cache.shards import ShardSet, read_shard
from foresight_cache.shards.members import Members, frames_of

_TAIL = 4096
"""Bytes at the end of a file by which files of equal size are told apart before they are read whole."""


def grouped(records: Sequence[Record], also: Sequence[ShardSet] = ()) -> tuple[list[Record], int]:
    """The records with samples of equal media in one group, and how many of them another one equals.

    The group is the first one's, or that of an equal sample in one of the sets `also`. Files that cannot be read
    are left for the packing to tell. Without `also` only files that might be equal are read.
    """
    same = _equal(records, whole=bool(also))
    taken = _groups_of(also, same.keys())
    merged = _Groups()
    duplicates = 0
    for digest, places in same.items():
        names = [record.sample.group for place in places if isinstance(record := records[place], RawSample)]
        merged.join([*taken.get(digest, ()), *names])
        duplicates += len(places) - (0 if digest in taken else 1)
    return [_regrouped(record, merged) for record in records], duplicates


def shared(first: ShardSet, second: ShardSet) -> list[tuple[str, str]]:
    """Ids of samples of two prepared sets whose media are equal; reads all of their tars.

    Of one set with itself, the pairs of different samples in it.
    """
    ids: dict[str, list[str]] = defaultdict(list)
    for digest, sample in _digests(first):
        ids[digest].append(sample.id)
    if first.path.resolve() == second.path.resolve():
        return [(each[0], other) for each in ids.values() for other in each[1:]]
    return [(each, sample.id) for digest, sample in _digests(second) for each in ids.get(digest, ())]


def _digests(shards: ShardSet) -> Iterator[tuple[str, Sample]]:
    """Each sample with the digest of its media. That is not kept anywhere: packing would hash every byte twice."""
    for number in range(len(shards.shards)):
        for sample, members in read_shard(shards, number):
            yield media_digest(members), sample


class _Groups:
    """Sets of group names that are one; the name of such a set is the first that it was joined from."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def join(self, names: Sequence[str]) -> None:
        for name in names[1:]:
            first, other = self.of(names[0]), self.of(name)
            if first != other:
                self._first[other] = first

    def of(self, name: str) -> str:
        while name in self._first:
            name = self._first[name]
        return name


def _regrouped(record: Record, groups: _Groups) -> Record:
    if isinstance(record, BrokenSample) or (group := groups.of(record.sample.group)) == record.sample.group:
        return record
    return replace(record, sample=replace(record.sample, group=group))


def _equal(records: Sequence[Record], *, whole: bool) -> dict[str, list[int]]:
    """Places of samples by the digest of their media: with `whole` of all, else of those that equal another."""
    files = {place: found for place, record in enumerate(records) if (found := _files(record))}
    candidates: Iterable[int] = files
    if not whole:
        candidates = _repeated(candidates, lambda place: _size(files[place]))
        candidates = _repeated(candidates, lambda place: (_size(files[place]), _tail(files[place][-1])))
    same: dict[str, list[int]] = defaultdict(list)
    for place in candidates:
        if digest := _digest(files[place]):
            same[digest].append(place)
    return same if whole else {digest: places for digest, places in same.items() if len(places) > 1}


def _repeated(places: Iterable[int], key: Callable[[int], Hashable]) -> list[int]:
    """The places, in order, whose key another place has too; those without a key are left out."""
    by_key: dict[Hashable, list[int]] = defaultdict(list)
    for place in places:
        if (found := key(place)) is not None:
            by_key[found].append(place)
    return sorted(place for same in by_key.values() if len(same) > 1 for place in same)


def _files(record: Record) -> list[Path]:
    """The media files of a sample; none where they cannot be listed."""
    if isinstance(record, BrokenSample):
        return []
    try:
        return frame_files(record.path) if record.sample.media == "clip" and record.path.is_dir() else [record.path]
    except (OSError, BadSample):
        return []


def _size(files: Sequence[Path]) -> int | None:
    try:
        return sum(path.stat().st_size for path in files)
    except OSError:
        return None


def _tail(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(-min(_TAIL, path.stat().st_size), 2)
            return file.read()
    except OSError:
        return None


def _digest(files: Sequence[Path]) -> str | None:
    """Returns what `media_digest` will be of the packed files."""
    sha256 = hashlib.sha256()
    try:
        for path in files:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: sha256)  # goes on with this one
    except OSError:
        return None
    return sha256.hexdigest()


def _groups_of(sets: Sequence[ShardSet], digests: Iterable[str]) -> Mapping[str, list[str]]:
    """Groups of the samples in these sets that have one of the digests; reads all of their tars."""
    wanted = set(digests)
    groups: dict[str, list[str]] = defaultdict(list)
    for shards in sets:
        for digest, sample in _digests(shards):
            if digest in wanted:
                groups[digest].append(sample.group)
    return groups


def media_digest(members: Members) -> str:
    """SHA-256 of a sample's media file, or of its frames one after the other."""
    sha256 = hashlib.sha256()
    for frame in frames_of(members):
        sha256.update(frame)
    return sha256.hexdigest()
