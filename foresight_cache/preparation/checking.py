"""Packs and checks samples in threads, ahead of being written, a shard's worth at a time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from foresight_cache.datasets import BrokenSample, ListedSample
from foresight_cache.errors import BadSample
from foresight_cache.preparation.arenas import Arena, ArenaPool
from foresight_cache.preparation.packing import pack_sample
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.runtime.progress import Advance
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
class _CheckedChunk:
    """Results for a chunk of samples, in order, and the memory that holds their files."""

    results: Sequence[UsableSample | Quarantined]
    arena: Arena


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedShard:
    """Usable samples of one shard, and the listed ones between them that are not usable."""

    samples: Sequence[UsableSample]
    quarantined: tuple[Quarantined, ...]
    listed: int
    """Number of listed samples up to the end of this shard, usable or not."""
    arenas: Sequence[Arena]
    """Memory that these samples hold until they are written."""


def checked_shards(
    request: PreparationRequest,
    samples: Sequence[ListedSample],
    first: int,
    pool: ArenaPool,
    advance: Advance,
) -> Iterator[CheckedShard]:
    """Yields the shards in order, each full but the last; threads check ahead.

    `first` is the number of listed samples before these.
    """
    listed = first
    usable: list[UsableSample] = []
    quarantined: list[Quarantined] = []
    arenas: list[Arena] = []
    size = _CHUNK[request.manifest.media]
    chunks = (samples[start : start + size] for start in range(0, len(samples), size))
    with closing(
        prefetch(chunks, partial(_check_chunk, pool, deep=request.options.deep), threads=request.options.workers)
    ) as checked:
        for chunk in checked:
            for result in chunk.results:
                listed += 1
                if isinstance(result, Quarantined):
                    quarantined.append(result)
                    advance(1, 0)
                    continue
                usable.append(result)
                advance(1, result.size)
                if len(usable) == request.options.samples_per_shard:
                    pool.hold(chunk.arena)
                    arenas.append(chunk.arena)
                    yield CheckedShard(samples=usable, quarantined=tuple(quarantined), listed=listed, arenas=arenas)
                    usable, quarantined, arenas = [], [], []
            arenas.append(chunk.arena)
    if usable or quarantined:
        yield CheckedShard(samples=usable, quarantined=tuple(quarantined), listed=listed, arenas=arenas)


def _check_chunk(pool: ArenaPool, samples: Iterable[ListedSample], *, deep: bool) -> _CheckedChunk:
    arena = pool.acquire()
    return _CheckedChunk(results=[pack_or_quarantine(listed, arena, deep=deep) for listed in samples], arena=arena)


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
