"""Prepared shards: WebDataset tars of samples, and the index that makes them a dataset.

    SHARDS/index.json           what is in which tar, with digests; written last, so that its presence is completion
    SHARDS/shard-000000.tar     000000000.jpg   the original media file, byte for byte
                                000000000.json  its `Sample`, as canonical JSON
                                000000001.jpg   …

A member's name is the sample's slot, counted over the whole set, and a suffix that says what it is (`members`). All
shards but the last have the same number of samples. The same samples give the same bytes. Nothing is ever unpacked:
members are read as bytes, so a name in a tar leads nowhere.
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

from foresight_cache.annotations import check_annotations
from foresight_cache.errors import BadSample, ShardError
from foresight_cache.fingerprint import canonical_json, digest
from foresight_cache.members import RECORD, are_whole, frames_of
from foresight_cache.samples import Media, Sample
from foresight_cache.tar_blocks import ending, header, padding

FORMAT_VERSION = 1
INDEX = "index.json"
UNFINISHED = "unfinished"
"""File that lies in a folder from the start of its preparation to the index."""
PARTIAL = ".partial"
"""Suffix of a file that is being written; never read."""
_MEMBER = re.compile(r"(\d{9})\.([a-z0-9.]+)")
_MOST_BLOCKS = 1024
"""Blocks that one call may write (`IOV_MAX` of Linux)."""

Content = bytes | memoryview
Members = Mapping[str, Content]
"""Files of a sample by suffix, the record left out; see `members`."""
Packed = tuple[Sample, Members]
"""A sample to be written."""
Unpacked = tuple[Sample, Mapping[str, bytes]]
"""A sample that was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """One tar."""

    name: str
    size: int
    """Bytes of the tar."""
    sha256: str
    ids: tuple[str, ...]
    """Sample ids in the order of the tar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A sample that is not in any shard, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSet:
    """A prepared dataset: all that its index says."""

    path: Path
    """The folder that holds the index and the tars."""
    dataset: str
    manifest: Mapping[str, Any]
    """Content of the manifest that it was prepared by."""
    manifest_digest: str
    """`Manifest.digest` of it."""
    samples_per_shard: int
    request: Mapping[str, Any]
    """What was asked for besides, by the name of its option; an option that is not given is not there."""
    source: str
    """SHA-256 over all that the dataset's reader found, sound or broken."""
    shards: tuple[ShardInfo, ...]
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def media(self) -> Media:
        """Of which kind all samples are."""
        return "clip" if self.manifest.get("media") == "clip" else "image"

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of the tars in order: the identity of the data."""
        return digest([shard.sha256 for shard in self.shards])

    @property
    def samples(self) -> int:
        return sum(len(shard.ids) for shard in self.shards)

    @property
    def size(self) -> int:
        """Bytes of all tars."""
        return sum(shard.size for shard in self.shards)

    def first_slot(self, number: int) -> int:
        """The slot of the first sample of a shard."""
        return number * self.samples_per_shard


def shard_name(number: int) -> str:
    """
    >>> shard_name(7)
    'shard-000007.tar'
    """
    return f"shard-{number:06d}.tar"


def write_shard(folder: Path, number: int, first_slot: int, samples: Sequence[Packed]) -> ShardInfo:
    """Write one tar of samples, each with its members. It appears whole or not at all."""
    blocks: list[Content] = []
    for slot, (sample, members) in enumerate(samples, start=first_slot):
        for suffix, data in (*members.items(), (RECORD, canonical_json(sample.to_json()))):
            blocks += (header(f"{slot:09d}.{suffix}", len(data)), data, padding(len(data)))
    blocks.append(ending(sum(map(len, blocks))))
    sha256, size = hashlib.sha256(), 0
    for block in blocks:
        sha256.update(block)
        size += len(block)
    name = shard_name(number)
    with replacing(folder / name) as file:
        _write_all(file.fileno(), blocks)
    ids = tuple(sample.id for sample, _ in samples)
    return ShardInfo(name=name, size=size, sha256=sha256.hexdigest(), ids=ids)


def _write_all(descriptor: int, blocks: Sequence[Content]) -> None:
    """In as few calls as the system permits, without copying the blocks together."""
    for start in range(0, len(blocks), _MOST_BLOCKS):
        some = [memoryview(block) for block in blocks[start : start + _MOST_BLOCKS] if len(block)]
        while some:
            written = os.writev(descriptor, some)
            while some and written >= len(some[0]):
                written -= len(some.pop(0))
            if written:
                some[0] = some[0][written:]


def media_digest(members: Members) -> str:
    """SHA-256 of a sample's media file, or of its frames one after the other."""
    sha256 = hashlib.sha256()
    for frame in frames_of(members):
        sha256.update(frame)
    return sha256.hexdigest()


def write_index(shard_set: ShardSet) -> None:
    """Make the written tars a dataset. After this the set is complete, and nothing of it is written again."""
    body = {
        "format": FORMAT_VERSION,
        "dataset": shard_set.dataset,
        "manifest": dict(shard_set.manifest),
        "manifest_sha256": shard_set.manifest_digest,
        "samples_per_shard": shard_set.samples_per_shard,
        "request": dict(shard_set.request),
        "source_sha256": shard_set.source,
        "shards": [_shard_json(shard) for shard in shard_set.shards],
        "quarantined": [asdict(each) for each in shard_set.quarantined],
        "counts": _counts(shard_set),
    }
    text = json.dumps({**body, "sha256": digest(body)}, ensure_ascii=False, indent=1)
    with replacing(shard_set.path / INDEX) as file:
        file.write(text.encode() + b"\n")


def open_shards(path: str | os.PathLike[str]) -> ShardSet:
    """The prepared dataset in a folder; the tars are there and of the right size, but not yet read.

    Raises `ShardError` where there is none, where it is unfinished or of another format version, where the index
    is not what was written, or where a tar is missing or of another size.
    """
    folder = Path(path)
    index = folder / INDEX
    if not index.is_file():
        raise ShardError(_why_no_index(folder))
    try:
        record = json.loads(index.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ShardError(f"{index} is not JSON ({error}); run 'foresight prepare' into a new folder") from None
    shard_set = _from_index(record, folder)
    for shard in shard_set.shards:
        _check_size(folder / shard.name, shard)
    return shard_set


def read_shard(shard_set: ShardSet, number: int, *, verify: bool = True) -> Iterator[Unpacked]:
    """Each sample of one shard with the original bytes of its files by suffix, in order.

    With `verify` the whole tar's SHA-256 is compared with the index before the first sample comes. Raises
    `ShardError` where the tar is damaged, cut off, foreign, or holds other samples than the index says.
    """
    shard = shard_set.shards[number]
    path = shard_set.path / shard.name
    _check_size(path, shard)
    with path.open("rb") as file:
        if verify and hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            raise ShardError(f"{path} is not what was prepared: its sha256 differs from the index; {_AGAIN}")
        file.seek(0)
        slots = enumerate(shard.ids, start=shard_set.first_slot(number))
        for key, members in groupby(_members(file, path, shard.size), itemgetter(0)):
            slot, expected = next(slots, (None, ""))
            if slot is None or key != f"{slot:09d}":
                raise ShardError(f"{path} holds a sample {key}, its index says {_slot(slot)}; {_AGAIN}")
            yield _sample({suffix: data for _, suffix, data in members}, expected, f"{path}: {key}")
        if (rest := next(slots, None)) is not None:
            raise ShardError(f"{path} ends before the sample {_slot(rest[0])}, which its index lists; {_AGAIN}")


_AGAIN = "prepare the dataset again into a new folder"


def _counts(shard_set: ShardSet) -> dict[str, int]:
    return {
        "samples": shard_set.samples,
        "shards": len(shard_set.shards),
        "bytes": shard_set.size,
        "quarantined": len(shard_set.quarantined),
    }


def _shard_json(shard: ShardInfo) -> dict[str, Any]:
    return {
        "name": shard.name,
        "bytes": shard.size,
        "sha256": shard.sha256,
        "ids": list(shard.ids),
    }


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file that takes its name only when it is whole; when `durable`, even through a loss of power."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _why_no_index(folder: Path) -> str:
    if not folder.exists():
        return f"there are no shards at {folder}; make them with 'foresight prepare DATASET --out {folder}'"
    if folder.is_dir() and ((folder / UNFINISHED).exists() or (folder / shard_name(0)).exists()):
        return f"{folder} is not finished: it has no {INDEX} yet; run the same 'foresight prepare' again"
    return f"{folder} holds no prepared shards: it has no {INDEX}; expected a folder made by 'foresight prepare'"


def _from_index(record: Any, folder: Path) -> ShardSet:
    place = folder / INDEX
    if not isinstance(record, dict) or "format" not in record or "shards" not in record:
        raise ShardError(f"{place} is not an index of shards; expected a folder made by 'foresight prepare'")
    if record["format"] != FORMAT_VERSION:
        raise ShardError(
            f"{place} has format version {record['format']!r}, this program reads {FORMAT_VERSION}; {_AGAIN}"
        )
    body = {key: value for key, value in record.items() if key != "sha256"}
    if _digest_of(body) != record.get("sha256"):
        raise ShardError(f"{place} was changed after it was written: its own digest does not match; {_AGAIN}")
    try:
        shard_set = _shard_set(body, folder)
        sound = _is_sound(shard_set) and body["counts"] == _counts(shard_set)
    except (KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise ShardError(f"{place} contradicts itself; {_AGAIN}")
    return shard_set


def _digest_of(body: Mapping[str, Any]) -> str:
    try:
        return digest(body)
    except ValueError:  # JSON that has no canonical form, such as NaN
        return ""


def _shard_set(body: Mapping[str, Any], folder: Path) -> ShardSet:
    return ShardSet(
        path=folder,
        dataset=body["dataset"],
        manifest=body["manifest"],
        manifest_digest=body["manifest_sha256"],
        samples_per_shard=body["samples_per_shard"],
        request=body["request"],
        source=body["source_sha256"],
        shards=tuple(
            ShardInfo(
                name=each["name"],
                size=each["bytes"],
                sha256=each["sha256"],
                ids=tuple(each["ids"]),
            )
            for each in body["shards"]
        ),
        quarantined=tuple(Quarantined(id=each["id"], reason=each["reason"]) for each in body["quarantined"]),
    )


def _is_sound(shard_set: ShardSet) -> bool:
    """Whether an index says what a preparation writes; its digest tells of accidents, this of forgery."""
    ids = [each for shard in shard_set.shards for each in shard.ids]
    full = [len(shard.ids) == shard_set.samples_per_shard for shard in shard_set.shards[:-1]]
    return (
        bool(shard_set.shards)
        and isinstance(shard_set.manifest, dict)
        and shard_set.manifest.get("media", "image") in ("image", "clip")
        and all(isinstance(each, str) for each in (shard_set.dataset, shard_set.manifest_digest, shard_set.source))
        and type(shard_set.samples_per_shard) is int
        and isinstance(shard_set.request, dict)
        and all(isinstance(value, str | int | list) for value in shard_set.request.values())
        and all(type(shard.size) is int and isinstance(shard.sha256, str) for shard in shard_set.shards)
        and all(shard.name == shard_name(number) for number, shard in enumerate(shard_set.shards))
        and all(full)
        and 0 < len(shard_set.shards[-1].ids) <= shard_set.samples_per_shard
        and all(isinstance(each, str) for each in ids)
        and all(isinstance(each.reason, str) and isinstance(each.id, str) for each in shard_set.quarantined)
        and len(set(ids)) == len(ids)
    )


def _check_size(path: Path, shard: ShardInfo) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise ShardError(f"{path} is missing; {_AGAIN}, or bring the file back") from None
    if size != shard.size:
        raise ShardError(f"{path} has {size} bytes, {shard.size} were prepared; {_AGAIN}, or bring the file back")


def _slot(slot: int | None) -> str:
    return "nothing more" if slot is None else f"{slot:09d}"


def _members(file: IO[bytes], path: Path, most: int) -> Iterator[tuple[str, str, bytes]]:
    """Key, suffix and bytes of each member; none is larger than the tar, whatever its header claims."""
    try:
        with tarfile.open(fileobj=cast(IO[bytes], _Bounded(file, most)), mode="r:") as tar:
            for member in tar:
                match = _MEMBER.fullmatch(member.name)
                plain = member.isreg() and not member.issparse() and 0 <= member.size < most
                content = tar.extractfile(member) if match and plain else None
                if match is None or content is None:
                    raise ShardError(f"{path} holds {member.name!r}, which is no member of a prepared shard; {_AGAIN}")
                yield match[1], match[2], content.read()
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise ShardError(f"{path} is not a whole tar: {error}; {_AGAIN}") from None


class _Bounded:
    """A file that is never asked for more than it can have: tarfile believes what a header claims and allocates it."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self._most))


def _sample(members: Mapping[str, bytes], expected: str, place: str) -> Unpacked:
    files = {suffix: data for suffix, data in members.items() if suffix != RECORD}
    if RECORD not in members or not are_whole(files):
        raise ShardError(f"{place} has members {_some(members)}, expected its media and 'json'; {_AGAIN}")
    try:
        sample = Sample.from_json(json.loads(members[RECORD]))
        check_annotations(sample.annotations, width=sample.width, height=sample.height)
    except (ValueError, RecursionError, BadSample) as error:
        raise ShardError(f"{place}.json is no sample: {error}; {_AGAIN}") from None
    if sample.id != expected:
        raise ShardError(f"{place}.json is the sample {sample.id!r}, the index says {expected!r}; {_AGAIN}")
    return sample, files


def _some(members: Members) -> str:
    names = sorted(members)
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
