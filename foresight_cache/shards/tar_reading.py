"""The reader of a shard. Nothing is ever unpacked: members are read as bytes, so a name in a tar leads nowhere."""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, cast

from foresight_cache.annotations import check_annotations
from foresight_cache.errors import BadSample, ShardError
from foresight_cache.samples import Sample
from foresight_cache.shards.members import RECORD, are_whole
from foresight_cache.shards.shard_set import AGAIN, ShardSet, check_size

_MEMBER = re.compile(r"(\d{9})\.([a-z0-9.]+)")

Unpacked = tuple[Sample, Mapping[str, bytes]]
"""A sample that was read."""
_Place = tuple[int, int]
"""Where a member's bytes begin in its tar, and how many there are."""


@dataclass(frozen=True, slots=True)
class ShardSamples:
    """Samples of one shard in order, whose files are read when they are asked for: those of one fit any memory."""

    path: Path
    samples: Sequence[Sample]
    _places: Sequence[Mapping[str, _Place]]

    def members(self, position: int) -> dict[str, bytes]:
        """Returns the original bytes of the files of a sample by suffix. Raises `ShardError`."""
        with self.path.open("rb") as file:
            return _contents(file, self.path, self._places[position])


def open_shard(shard_set: ShardSet, number: int) -> ShardSamples:
    """Reads the records of one shard. Raises `ShardError` as `read_shard` does, once its SHA-256 is compared."""
    path = shard_set.path / shard_set.shards[number].name
    with _opened(shard_set, number, verify=True) as file:
        samples, places = zip(*_located_samples(file, path, shard_set, number), strict=True)
    return ShardSamples(path, samples, places)


def read_shard(shard_set: ShardSet, number: int, *, verify: bool = True) -> Iterator[Unpacked]:
    """Yields each sample of one shard with the original bytes of its files by suffix, in order.

    With `verify` the whole tar's SHA-256 is compared with the index before the first sample comes. Raises
    `ShardError` where the tar is damaged, cut off, foreign, or holds other samples than the index says.
    """
    path = shard_set.path / shard_set.shards[number].name
    with _opened(shard_set, number, verify=verify) as file:
        for sample, places in _located_samples(file, path, shard_set, number):
            yield sample, _contents(file, path, places)


@contextmanager
def _opened(shard_set: ShardSet, number: int, *, verify: bool) -> Iterator[IO[bytes]]:
    """Opens a tar. Raises `ShardError` where it is missing or, with `verify`, not what was prepared."""
    shard = shard_set.shards[number]
    path = shard_set.path / shard.name
    check_size(path, shard)
    with path.open("rb") as file:
        if verify and hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            raise ShardError(f"{path} is not what was prepared: its sha256 differs from the index; {AGAIN}")
        file.seek(0)
        yield file


def _located_samples(
    file: IO[bytes], path: Path, shard_set: ShardSet, number: int
) -> Iterator[tuple[Sample, Mapping[str, _Place]]]:
    """Yields each sample with the places of its files by suffix; the records alone are read. Raises `ShardError`."""
    shard = shard_set.shards[number]
    slots = enumerate(shard.ids, start=shard_set.first_slot(number))
    for key, members in groupby(_members(file, path, shard.size), itemgetter(0)):
        slot, expected = next(slots, (None, ""))
        if slot is None or key != f"{slot:09d}":
            raise ShardError(f"{path} holds a sample {key}, its index says {_slot(slot)}; {AGAIN}")
        places = {suffix: place for _, suffix, place in members}
        records = _contents(file, path, {suffix: place for suffix, place in places.items() if suffix == RECORD})
        yield _sample(places, records, expected, f"{path}: {key}")
    if (rest := next(slots, None)) is not None:
        raise ShardError(f"{path} ends before the sample {_slot(rest[0])}, which its index lists; {AGAIN}")


def _contents(file: IO[bytes], path: Path, places: Mapping[str, _Place]) -> dict[str, bytes]:
    """Reads files of a tar by suffix. Raises `ShardError` where it has become shorter."""
    contents = {suffix: os.pread(file.fileno(), size, start) for suffix, (start, size) in places.items()}
    if any(len(contents[suffix]) != size for suffix, (_, size) in places.items()):
        raise ShardError(f"{path} has become shorter while it was read; {AGAIN}")
    return contents


def _slot(slot: int | None) -> str:
    return "nothing more" if slot is None else f"{slot:09d}"


def _members(file: IO[bytes], path: Path, most: int) -> Iterator[tuple[str, str, _Place]]:
    """Yields key, suffix and place of each member; none is larger than the tar, whatever its header claims."""
    try:
        with tarfile.open(fileobj=cast(IO[bytes], BoundedFile(file, most)), mode="r:") as tar:
            for member in tar:
                match = _MEMBER.fullmatch(member.name)
                plain = member.isreg() and not member.issparse() and 0 <= member.size < most
                if match is None or not plain:
                    raise ShardError(
                        f"{path} holds {member.name!r}, which is not a member of a prepared shard; {AGAIN}"
                    )
                yield match[1], match[2], (member.offset_data, member.size)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise ShardError(f"{path} is not a whole tar: {error}; {AGAIN}") from None


class BoundedFile:
    """A file that is never asked for more than it can have: tarfile believes what a header claims and allocates it."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self._most))


def _sample(
    places: Mapping[str, _Place], records: Mapping[str, bytes], expected: str, name: str
) -> tuple[Sample, Mapping[str, _Place]]:
    files = {suffix: place for suffix, place in places.items() if suffix != RECORD}
    if not records or not are_whole(files):
        raise ShardError(f"{name} has members {_first_names(places)}, expected its media and 'json'; {AGAIN}")
    try:
        sample = Sample.from_json(json.loads(records[RECORD]))
        check_annotations(sample.annotations, width=sample.width, height=sample.height)
    except (ValueError, RecursionError, BadSample) as error:
        raise ShardError(f"{name}.json is not a sample: {error}; {AGAIN}") from None
    if sample.id != expected:
        raise ShardError(f"{name}.json is the sample {sample.id!r}, the index says {expected!r}; {AGAIN}")
    return sample, files


def _first_names(members: Iterable[str]) -> str:
    names = sorted(members)
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
