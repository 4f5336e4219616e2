"""Packs and checks samples in threads, ahead of being written, a few megabytes at a time."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from foresight_cache.datasets import BrokenSample, ListedSample
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
    request: PreparationRequest, samples: Sequence[ListedSample], sizes: Sequence[int], pool: ArenaPool
) -> Generator[CheckedChunk]:
    """Yields the samples checked, in order; `--workers` threads check ahead.

    `sizes` are the bytes of their media, 0 where packing will find out why they cannot be read. Two chunks more than
    there are threads are in memory at a time, each of 16 MiB of files or a single sample.
    """
    chunks = _chunks(samples, sizes, _CHUNK[request.manifest.media])
    check = partial(_check_chunk, pool, deep=request.options.deep)
    with closing(prefetch(chunks, check, threads=request.options.workers)) as checked:
        yield from checked


def _chunks(samples: Sequence[ListedSample], sizes: Sequence[int], most: int) -> Iterator[list[ListedSample]]:
    """Yields the samples in chunks of at most so many, whose files fit an arena unless it is a single sample."""
    chunk: list[ListedSample] = []
    size = 0
    for listed, needed in zip(samples, sizes, strict=True):
        if chunk and (len(chunk) == most or size + needed > ARENA_SIZE):
            yield chunk
            chunk, size = [], 0
        chunk.append(listed)
        size += needed
    if chunk:
        yield chunk


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
