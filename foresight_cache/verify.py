"""Checks every byte of a cache, or a sample of it, against what was committed, and lists all that is wrong."""

import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from foresight_cache.commands import repair_command
from foresight_cache.errors import CacheError
from foresight_cache.finiteness import not_finite
from foresight_cache.format import layout
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import used_chunks
from foresight_cache.format.metadata import metadata
from foresight_cache.format.shard_object import ShardObjectReader
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent

_BLOCK = 1 << 24
_COMMIT = re.compile(rf"{layout.SAMPLES}/\d+\.json")
_AGAIN = "run the same 'foresight extract' again"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    place: str
    """Key of the object inside the cache."""
    problem: str
    harmless: bool = False
    """True where the cache is whole all the same: it lies in its folder without being part of it."""


@dataclass(frozen=True, slots=True)
class SampleReport:
    """The outcome of a check of some samples."""

    findings: list[Finding]
    checked: int
    """Samples whose bytes were read."""
    samples: int
    """Committed samples that are not quarantined."""


@dataclass(frozen=True, slots=True)
class _Records:
    """Checked records of a cache, and what was wrong with others."""

    cache: Cache
    sizes: Mapping[str, int]
    """Bytes of each object, as they were listed."""
    commits: list[Commit]
    """Commits that are sound."""
    findings: list[Finding]


def verify(cache: Cache, advance: Advance = silent) -> list[Finding]:
    """Returns all findings, of the cache as it is now; none means that every shard is there as it was written.

    `advance` gets each committed shard's samples and bytes. Raises what `open_cache` raises.
    """
    records = _check_records(cache)
    findings = [*records.findings]
    for commit in records.commits:
        for point in records.cache.layout.points:
            findings += _check_object(records.cache, commit, point)
        advance(len(commit.rows), sum(entry["bytes"] for entry in commit.objects.values()))
    return findings


def verify_values(cache: Cache, advance: Advance = silent) -> list[Finding]:
    """Returns a finding for each good sample that has numbers which are not finite at a point; reads all but pixels.

    `advance` gets each sample and its bytes. Raises `CorruptCache` for bytes that are not as they were written.
    """
    findings = []
    may_differ = [point for point in cache.points if cache[point].dtype.kind not in "iu"]  # whole numbers are finite
    for row, sample in enumerate(cache.rows):
        size = 0
        for point in may_differ if sample["status"] == "ok" else ():
            numbers = cache[point].stored(row)
            size += numbers.nbytes
            if count := not_finite(numbers):
                key = layout.object_key(point, sample["shard"])
                findings.append(Finding(key, f"sample {sample['id']} has {count} of {numbers.size} numbers not finite"))
        advance(1, size)
    return findings


def verify_sample(cache: Cache, count: int, seed: int = 0) -> SampleReport:
    """Checks all records and sizes of objects, as `verify` does, and `count` random good samples at every point.

    Raises what `open_cache` raises.
    """
    records = _check_records(cache)
    findings = [*records.findings]
    good = [(commit, n) for commit in records.commits for n, row in enumerate(commit.rows) if row.status == "ok"]
    chosen = random.Random(seed).sample(range(len(good)), min(count, len(good)))  # noqa: S311 - a sample, no secret
    for commit in records.commits:
        positions = sorted(position for owner, position in map(good.__getitem__, chosen) if owner is commit)
        for point in records.cache.layout.points:
            if lost := _check_size(records.cache, commit, point, records.sizes):
                findings.append(lost)
            elif positions:
                findings += _check_chunks(records.cache, commit, point, positions)
    return SampleReport(findings=findings, checked=len(chosen), samples=len(good))


def _check_records(cache: Cache) -> _Records:
    # The root is read after the listing, so that it knows of each listed commit's shard, also where shards are added.
    sizes = cache.store.sizes()
    cache = Cache(cache.store)
    findings = [*_check_metadata(cache), *_strays(cache, sizes)]
    commits = []
    for key in sorted(filter(_COMMIT.fullmatch, sizes)):
        try:
            commits.append(_read_commit(cache, key))
        except CacheError as error:
            findings.append(Finding(key, _with_remedy(error, cache)))
    there = {commit.shard for commit in commits}
    findings += [
        Finding(layout.commit_key(shard), f"the shard is not committed; {_completion(cache)}")
        for shard in range(len(cache.layout.shards))
        if shard not in there
    ]
    return _Records(cache, sizes, commits, findings)


def _check_metadata(cache: Cache) -> Iterator[Finding]:
    """Yields metadata that is not what its layout gives: any other byte is wrong."""
    mend = f"mend it with '{repair_command(cache.path)}'"
    for key, data in metadata(cache.layout).items():
        try:
            if cache.store.read(key) != data:
                yield Finding(key, f"the metadata is not what was written; {mend}")
        except FileNotFoundError:
            yield Finding(key, f"the metadata is missing; {mend}")


def _strays(cache: Cache, keys: Iterable[str]) -> Iterator[Finding]:
    """Yields what has no business in the folder. Objects of a shard without a commit are part of that finding."""
    shards = range(len(cache.layout.shards))
    ours = {layout.object_key(point, shard) for point in cache.layout.points for shard in shards}
    ours |= metadata(cache.layout).keys()
    for key in sorted(keys):
        if key.startswith(f"{layout.PARTIAL}/"):
            yield Finding(key, "a killed process left it; the next 'foresight extract' removes it", harmless=True)
        elif key not in ours and not _COMMIT.fullmatch(key):
            yield Finding(key, "it is not a part of the cache; remove it, if nobody needs it", harmless=True)


def _read_commit(cache: Cache, key: str) -> Commit:
    data = cache.store.read(key)
    commit = Commit.from_json(data, key)
    commit.check_belongs(cache.layout, key, key)
    if commit.to_json() != data:
        raise CacheError("the commit record is not what was written")
    return commit


def _check_size(cache: Cache, commit: Commit, point: str, sizes: Mapping[str, int]) -> Finding | None:
    """Returns a finding where an object is missing or of another size; asks again where the listing says so."""
    key = layout.object_key(point, commit.shard)
    if point not in commit.objects:
        return Finding(key, f"the point is not committed; {_completion(cache)}")
    expected = commit.objects[point]["bytes"]
    if sizes.get(key) == expected:
        return None
    try:
        size, _ = cache.store.ranges(key)
    except FileNotFoundError:
        return Finding(key, f"the object is missing although its shard is committed; {_remedy(cache)}")
    if size != expected:
        return Finding(key, f"the object has {size} bytes, {expected} were committed; {_remedy(cache)}")
    return None


def _check_object(cache: Cache, commit: Commit, point: str) -> Iterator[Finding]:
    """Compares the SHA-256 of an object and, where that is another one, the checksums of all its samples."""
    if lost := _check_size(cache, commit, point, {}):
        yield lost
        return
    key = layout.object_key(point, commit.shard)
    size, read = cache.store.ranges(key)
    digest = hashlib.sha256()
    for start in range(0, size, _BLOCK):
        digest.update(read(start, min(start + _BLOCK, size)))
    if digest.hexdigest() != commit.objects[point]["sha256"]:
        yield Finding(key, f"the object's SHA-256 is not the committed one; {_remedy(cache)}")
        yield from _check_chunks(cache, commit, point, range(len(commit.rows)))


def _check_chunks(cache: Cache, commit: Commit, point: str, positions: Iterable[int]) -> Iterator[Finding]:
    """Reads the chunks of the good ones among these samples."""
    key = layout.object_key(point, commit.shard)
    shape = cache.layout.points[point]
    per_sample = shape.chunks_per_sample
    size, read = cache.store.ranges(key)
    try:
        reader = ShardObjectReader(key, size, cache.layout.samples_per_shard * per_sample, shape.chunk_codec, read)
    except CacheError as error:
        yield Finding(key, _with_remedy(error, cache))
        return
    for position in positions:
        row = commit.rows[position]
        try:
            for chunk in range(used_chunks(row, shape)):
                reader.chunk(position * per_sample + chunk)
        except CacheError:
            yield Finding(key, f"sample {row.sample.id} is missing or fails its checksum; {_remedy(cache)}")


def _remedy(cache: Cache) -> str:
    """Returns what mends damage: another copy, or computing again what was taken out."""
    copied, computed = repair_command(cache.path, "COPY"), repair_command(cache.path)
    return f"mend it from another copy with '{copied}', or take it out with '{computed}' and {_AGAIN}"


def _with_remedy(error: CacheError, cache: Cache) -> str:
    """Returns what is wrong as an error says it, with what mends it in this cache."""
    what, _, _ = str(error).rpartition("; ")
    return f"{what or error}; {_remedy(cache)}"


def _completion(cache: Cache) -> str:
    """Returns what brings what was never there."""
    return f"{_AGAIN} to finish it, or take it from another copy with '{repair_command(cache.path, 'COPY')}'"
