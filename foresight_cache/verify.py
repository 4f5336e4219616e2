"""Checks every byte of a cache against what was committed, and lists all that is wrong."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from foresight_cache import layout
from foresight_cache.commits import Commit
from foresight_cache.errors import CacheError
from foresight_cache.progress import Advance, silent
from foresight_cache.reader import Cache
from foresight_cache.shard_object import ShardObjectReader

_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    place: str
    """Key of the object inside the cache."""
    problem: str


def verify(cache: Cache, advance: Advance = silent) -> list[Finding]:
    """All findings; none means that every shard is there and every byte as it was written.

    `advance` is told of each committed shard's samples and bytes. Raises what `open_cache` raises.
    """
    findings = list(_check_metadata(cache))
    missing = set(range(len(cache.layout.shards)))
    for name in cache.store.names(layout.SAMPLES):
        if name == "zarr.json":
            continue
        key = f"{layout.SAMPLES}/{name}"
        try:
            commit = _read_commit(cache, key)
        except CacheError as error:
            findings.append(Finding(key, str(error)))
            continue
        for point in cache.layout.points:
            findings += _check_object(cache, commit, point)
        missing.discard(commit.shard)
        advance(len(commit.rows), sum(entry["bytes"] for entry in commit.objects.values()))
    unfinished = "the shard is not committed; run the same 'foresight extract' again to finish it"
    return findings + [Finding(layout.part_key(shard), unfinished) for shard in sorted(missing)]


def _check_metadata(cache: Cache) -> Iterator[Finding]:
    """Metadata is a pure function of the root's attributes, so that any other byte is wrong."""
    wanted = {layout.metadata_key(point): cache.layout.array_json(point) for point in cache.layout.points}
    wanted[f"{layout.SAMPLES}/zarr.json"] = layout.SAMPLES_GROUP_JSON
    wanted[layout.ROOT_KEY] = cache.layout.root_json()
    for key, data in wanted.items():
        try:
            if cache.store.read(key) != data:
                yield Finding(key, "the metadata is not what was written")
        except FileNotFoundError:
            yield Finding(key, "the metadata is missing")


def _read_commit(cache: Cache, key: str) -> Commit:
    data = cache.store.read(key)
    commit = Commit.from_json(data, key)
    commit.check_belongs(cache.layout, key, key)
    if commit.to_json() != data:
        raise CacheError("the commit record is not what was written")
    return commit


def _check_object(cache: Cache, commit: Commit, point: str) -> Iterator[Finding]:
    key = layout.object_key(point, commit.shard)
    if point not in commit.objects:
        yield Finding(key, "the point is not committed; run the same 'foresight extract' again to finish it")
        return
    try:
        size, read = cache.store.ranges(key)
    except FileNotFoundError:
        yield Finding(key, "the object is missing although its shard is committed; run 'foresight extract' again")
        return
    expected = commit.objects[point]
    if size != expected["bytes"]:
        yield Finding(
            key, f"the object has {size} bytes, committed were {expected['bytes']}; run 'foresight extract' again"
        )
        return
    digest = hashlib.sha256()
    for start in range(0, size, _BLOCK):
        digest.update(read(start, min(start + _BLOCK, size)))
    if digest.hexdigest() == expected["sha256"]:
        return
    remedy = f"remove {layout.part_key(commit.shard)} and run the same 'foresight extract' again"
    yield Finding(key, f"the object's SHA-256 is not the committed one; {remedy}")
    yield from _check_chunks(cache, commit, point, size)


def _check_chunks(cache: Cache, commit: Commit, point: str, size: int) -> Iterator[Finding]:
    """Which samples of a damaged object are hit, by the checksums of their chunks."""
    key = layout.object_key(point, commit.shard)
    shape = cache.layout.points[point]
    per_sample = shape.chunks_per_sample
    _, read = cache.store.ranges(key)
    try:
        reader = ShardObjectReader(key, size, cache.layout.samples_per_shard * per_sample, shape.chunk_bytes, read)
    except CacheError as error:
        yield Finding(key, str(error))
        return
    for position, row in enumerate(commit.rows):
        chunks = range(position * per_sample, (position + 1) * per_sample)
        try:
            for chunk in chunks:
                if reader.has(chunk):
                    reader.chunk(chunk)
        except CacheError:
            yield Finding(key, f"sample {row.sample.id} fails its checksum")
