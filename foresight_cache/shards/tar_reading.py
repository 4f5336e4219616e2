"""The reader of a shard. Nothing is ever unpacked: members are read as bytes, so a name in a tar leads nowhere."""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, cast

from foresight_cache.annotations import check_annotations
from foresight_cache.errors import BadSample, ShardError
from foresight_cache.samples import Sample
from foresight_cache.shards.members import RECORD, Members, are_whole
from foresight_cache.shards.shard_set import AGAIN, ShardSet, check_size

_MEMBER = re.compile(r"(\d{9})\.([a-z0-9.]+)")

Unpacked = tuple[Sample, Mapping[str, bytes]]
"""A sample that was read."""


def read_shard(shard_set: ShardSet, number: int, *, verify: bool = True) -> Iterator[Unpacked]:
    """Yields each sample of one shard with the original bytes of its files by suffix, in order.

    With `verify` the whole tar's SHA-256 is compared with the index before the first sample comes. Raises
    `ShardError` where the tar is damaged, cut off, foreign, or holds other samples than the index says.
    """
    shard = shard_set.shards[number]
    path = shard_set.path / shard.name
    check_size(path, shard)
    with path.open("rb") as file:
        if verify and hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            raise ShardError(f"{path} is not what was prepared: its sha256 differs from the index; {AGAIN}")
        file.seek(0)
        slots = enumerate(shard.ids, start=shard_set.first_slot(number))
        for key, members in groupby(_members(file, path, shard.size), itemgetter(0)):
            slot, expected = next(slots, (None, ""))
            if slot is None or key != f"{slot:09d}":
                raise ShardError(f"{path} holds a sample {key}, its index says {_slot(slot)}; {AGAIN}")
            yield _sample({suffix: data for _, suffix, data in members}, expected, f"{path}: {key}")
        if (rest := next(slots, None)) is not None:
            raise ShardError(f"{path} ends before the sample {_slot(rest[0])}, which its index lists; {AGAIN}")


def _slot(slot: int | None) -> str:
    return "nothing more" if slot is None else f"{slot:09d}"


def _members(file: IO[bytes], path: Path, most: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields key, suffix and bytes of each member; none is larger than the tar, whatever its header claims."""
    try:
        with tarfile.open(fileobj=cast(IO[bytes], BoundedFile(file, most)), mode="r:") as tar:
            for member in tar:
                match = _MEMBER.fullmatch(member.name)
                plain = member.isreg() and not member.issparse() and 0 <= member.size < most
                content = tar.extractfile(member) if match and plain else None
                if match is None or content is None:
                    raise ShardError(
                        f"{path} holds {member.name!r}, which is not a member of a prepared shard; {AGAIN}"
                    )
                yield match[1], match[2], content.read()
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise ShardError(f"{path} is not a whole tar: {error}; {AGAIN}") from None


class BoundedFile:
    """A file that is never asked for more than it can have: tarfile believes what a header claims and allocates it."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self._most))


def _sample(members: Mapping[str, bytes], expected: str, place: str) -> Unpacked:
    files = {suffix: data for suffix, data in members.items() if suffix != RECORD}
    if RECORD not in members or not are_whole(files):
        raise ShardError(f"{place} has members {_first_names(members)}, expected its media and 'json'; {AGAIN}")
    try:
        sample = Sample.from_json(json.loads(members[RECORD]))
        check_annotations(sample.annotations, width=sample.width, height=sample.height)
    except (ValueError, RecursionError, BadSample) as error:
        raise ShardError(f"{place}.json is not a sample: {error}; {AGAIN}") from None
    if sample.id != expected:
        raise ShardError(f"{place}.json is the sample {sample.id!r}, the index says {expected!r}; {AGAIN}")
    return sample, files


def _first_names(members: Members) -> str:
    names = sorted(members)
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
