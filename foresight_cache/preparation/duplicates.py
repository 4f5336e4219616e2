"""Finds exact duplicates, which are samples whose media are the same bytes, before anything is packed.

The same picture on two sides of a split is a leak. Within a set such samples get one group; `also` brings in sets
that were prepared before, and `shared_media` lists what two prepared sets have in common.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from foresight_cache.datasets import BrokenSample, ListedSample, RawSample
from foresight_cache.datasets.file_parts import FilePart, MediaFile, size_of, tail_of
from foresight_cache.datasets.parts.clip_files import frame_files
from foresight_cache.errors import BadSample
from foresight_cache.samples import Sample
from foresight_cache.shards import ShardSet, read_shard
from foresight_cache.shards.members import Members, frames_of

_TAIL = 4096
"""Bytes at the end of a file by which files of equal size are told apart before they are read whole."""


@dataclass(frozen=True, slots=True)
class SampleMedia:
    """Media files of a sample; none where they cannot be listed, as of a broken one."""

    files: Sequence[MediaFile]
    size: int | None
    """Number of their bytes; None where a file cannot be read, which packing will tell."""

    @classmethod
    def of(cls, listed: ListedSample) -> Self:
        """Lists the files of a sample and asks each for its size."""
        files = _files(listed)
        return cls(files, _size(files) if files else None)


def group_duplicates(
    samples: Sequence[ListedSample], media: Sequence[SampleMedia], also: Sequence[ShardSet] = ()
) -> tuple[list[ListedSample], int]:
    """Returns the samples, those of equal media in one group, and the number of samples that equal another one.

    The group is the first one's, or that of an equal sample in one of the sets `also`. Files that cannot be read
    are left for packing to report. Without `also` only files that might be equal are read.
    """
    positions_by_digest = _positions_by_digest(media, whole=bool(also))
    groups_elsewhere = _groups_by_digest(also, positions_by_digest.keys())
    merged = _MergedGroups()
    duplicates = 0
    for digest, positions in positions_by_digest.items():
        groups = [listed.sample.group for position in positions if isinstance(listed := samples[position], RawSample)]
        merged.merge([*groups_elsewhere.get(digest, ()), *groups])
        duplicates += len(positions) - (0 if digest in groups_elsewhere else 1)
    return [_regrouped(listed, merged) for listed in samples], duplicates


def shared_media(first: ShardSet, second: ShardSet) -> list[tuple[str, str]]:
    """Returns pairs of ids of samples of two prepared sets whose media are equal; reads all of their tars.

    For one set with itself, these are pairs of different samples in it.
    """
    ids: dict[str, list[str]] = defaultdict(list)
    for digest, sample in _digests(first):
        ids[digest].append(sample.id)
    if first.path.resolve() == second.path.resolve():
        return [(equal[0], other) for equal in ids.values() for other in equal[1:]]
    return [(other, sample.id) for digest, sample in _digests(second) for other in ids.get(digest, ())]


def _digests(shards: ShardSet) -> Iterator[tuple[str, Sample]]:
    """Yields each sample with the digest of its media, which is not stored: packing would hash every byte twice."""
    for number in range(len(shards.shards)):
        for sample, members in read_shard(shards, number):
            yield media_digest(members), sample


class _MergedGroups:
    """Groups that are merged into one; the merged group has the first one's name."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def merge(self, names: Sequence[str]) -> None:
        """Merges groups of these names into the first one's."""
        for name in names[1:]:
            first, other = self.merged_name(names[0]), self.merged_name(name)
            if first != other:
                self._first[other] = first

    def merged_name(self, name: str) -> str:
        """Returns the name of the group that this one was merged into, or its own."""
        while name in self._first:
            name = self._first[name]
        return name


def _regrouped(listed: ListedSample, groups: _MergedGroups) -> ListedSample:
    if isinstance(listed, BrokenSample) or (group := groups.merged_name(listed.sample.group)) == listed.sample.group:
        return listed
    return replace(listed, sample=replace(listed.sample, group=group))


def _positions_by_digest(media: Sequence[SampleMedia], *, whole: bool) -> dict[str, list[int]]:
    """Returns positions by the digest of their media: with `whole` all samples', else those that equal another."""
    candidates: Iterable[int] = (position for position, each in enumerate(media) if each.files)
    if not whole:
        candidates = _repeated(candidates, lambda position: media[position].size)
        candidates = _repeated(candidates, lambda position: (media[position].size, _tail(media[position])))
    by_digest: dict[str, list[int]] = defaultdict(list)
    for position in candidates:
        if digest := _digest(media[position].files):
            by_digest[digest].append(position)
    return by_digest if whole else {digest: equal for digest, equal in by_digest.items() if len(equal) > 1}


def _repeated(positions: Iterable[int], key: Callable[[int], Hashable]) -> list[int]:
    """Returns the positions, in order, whose key another one has too; those without a key are left out."""
    by_key: dict[Hashable, list[int]] = defaultdict(list)
    for position in positions:
        if (value := key(position)) is not None:
            by_key[value].append(position)
    return sorted(position for equal in by_key.values() if len(equal) > 1 for position in equal)


def _files(listed: ListedSample) -> Sequence[MediaFile]:
    """Returns the media files of a sample; none where they cannot be listed."""
    if isinstance(listed, BrokenSample):
        return []
    try:
        if listed.sample.media == "clip" and isinstance(listed.path, Path) and listed.path.is_dir():
            return frame_files(listed.path, listed.follow_links)
        return [listed.path]
    except (OSError, BadSample):
        return []


def _size(files: Sequence[MediaFile]) -> int | None:
    try:
        return sum(map(size_of, files))
    except OSError:
        return None


def _tail(media: SampleMedia) -> bytes | None:
    """Returns the last bytes of the last file."""
    try:
        return tail_of(media.files[-1], _TAIL, media.size if len(media.files) == 1 else None)
    except OSError:
        return None


def _digest(files: Sequence[MediaFile]) -> str | None:
    """Returns what `media_digest` will be of the packed files."""
    sha256 = hashlib.sha256()
    try:
        for file in files:
            if isinstance(file, FilePart):
                for block in file.blocks():
                    sha256.update(block)
                continue
            with file.open("rb") as opened:
                hashlib.file_digest(opened, lambda: sha256)  # goes on with this one
    except OSError:
        return None
    return sha256.hexdigest()


def _groups_by_digest(sets: Sequence[ShardSet], digests: Iterable[str]) -> Mapping[str, list[str]]:
    """Returns groups of the samples in these sets that have one of the digests; reads all of their tars."""
    known = set(digests)
    groups: dict[str, list[str]] = defaultdict(list)
    for shards in sets:
        for digest, sample in _digests(shards):
            if digest in known:
                groups[digest].append(sample.group)
    return groups


def media_digest(members: Members) -> str:
    """Returns the SHA-256 of a sample's media file, or of its frames one after the other."""
    sha256 = hashlib.sha256()
    for frame in frames_of(members):
        sha256.update(frame)
    return sha256.hexdigest()
