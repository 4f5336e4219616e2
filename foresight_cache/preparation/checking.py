"""Packs and checks samples in threads, ahead of being written, a few megabytes at a time."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from stat import S_ISDIR

from foresight_cache.datasets import BrokenSample, ListedSample
from foresight_cache.datasets.file_parts import FilePart
from foresight_cache.errors import BadSample
from foresight_cache.preparation.arenas import ARENA_SIZE, Arena, ArenaPool
from foresight_cache.preparation.packing import pack_sample
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.samples import Media
from foresight_cache.shards import Packed, Quarantined

_CHUNK: dict[Media, int] = {"image": 64, "clip": 8}
"""Samples that a thread checks before it hands them on: fewer where each needs much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UsableSample:
    """Sample that can be packed."""

    packed: Packed
    size: int
    """Number of bytes of its files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedChunk:
    """Results for a chunk of samples, in order, and the memory that holds their files."""

    results: Sequence[UsableSample | Quarantined]
    arena: Arena
    """Memory that these samples hold until they are written."""


def checked_chunks(
    request: PreparationRequest, samples: Sequence[ListedSample], pool: ArenaPool
) -> Generator[CheckedChunk]:
    """Yields the samples checked, in order; `--workers` threads check ahead.

    Two chunks more than there are threads are in memory at a time, each of 16 MiB of files or a single sample.
    """
    chunks = _chunks(samples, _CHUNK[request.manifest.media])
    check = partial(_check_chunk, pool, deep=request.options.deep)
    with closing(prefetch(chunks, check, threads=request.options.workers)) as checked:
        yield from checked


def _chunks(samples: Sequence[ListedSample], most: int) -> Iterator[list[ListedSample]]:
    """Yields the samples in chunks of at most so many, whose files fit an arena unless it is a single sample."""
    chunk: list[ListedSample] = []
    size = 0
    for listed in samples:
        needed = _size(listed)
        if chunk and (len(chunk) == most or size + needed > ARENA_SIZE):
            yield chunk
            chunk, size = [], 0
        chunk.append(listed)
        size += needed
    if chunk:
        yield chunk


def _size(listed: ListedSample) -> int:
    """Returns the bytes of a sample's media; 0 where packing will find out why they cannot be read."""
    if isinstance(listed, BrokenSample):
        return 0
    try:
        if isinstance(listed.path, FilePart):
            return listed.path.size
        found = listed.path.stat()
        if not S_ISDIR(found.st_mode):
            return found.st_size
        with os.scandir(listed.path) as entries:
            return sum(entry.stat().st_size for entry in entries)
    except OSError:
        return 0


def _check_chunk(pool: ArenaPool, samples: Iterable[ListedSample], *, deep: bool) -> CheckedChunk:
    arena = pool.acquire()
    return CheckedChunk(results=[pack_or_quarantine(listed, arena, deep=deep) for listed in samples], arena=arena)


def pack_or_quarantine(listed: ListedSample, arena: Arena, *, deep: bool) -> UsableSample | Quarantined:
    """Packs a sample, its files read into the arena, or says why it cannot be used."""
    if isinstance(listed, BrokenSample):
        return Quarantined(id=listed.id, reason=listed.reason)
    try:
        sample, members = pack_sample(listed, deep=deep, read=arena.read)
    except BadSample as error:
        return Quarantined(id=listed.sample.id, reason=str(error))
    size = sum(map(len, members.values()))
    return UsableSample(packed=(sample, members), size=size)
