"""Samples that are read and checked ahead of being written, a shard's worth at a time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from foresight_cache.datasets import BrokenSample
from foresight_cache.errors import BadSample
from foresight_cache.preparation.arenas import Arena, ArenaPool
from foresight_cache.preparation.packing import packed
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.preparation.selection import Record
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.runtime.progress import Advance
from foresight_cache.samples import Media
from foresight_cache.shards import Packed, Quarantined

_AT_ONCE: dict[Media, int] = {"image": 64, "clip": 8}
"""Records that a thread reads and checks before it hands them on: fewer where each takes much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UsableSample:
    """A sample that can be packed."""

    packed: Packed
    size: int
    """Bytes of its files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """A few records that were read and checked, in order, and the memory that holds their files."""

    results: Sequence[UsableSample | Quarantined]
    arena: Arena


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedShard:
    """Samples of one shard, and the records between them that are none."""

    samples: Sequence[UsableSample]
    quarantined: tuple[Quarantined, ...]
    records: int
    """Records that were taken so far, of all."""
    arenas: Sequence[Arena]
    """Memory that these samples hold until they are written."""


def checked_shards(
    request: PreparationRequest, records: Sequence[Record], taken: int, pool: ArenaPool, workers: int, advance: Advance
) -> Iterator[CheckedShard]:
    """Sound samples in whole shards, the last one with what is left; reads and checks run ahead in threads."""
    samples: list[UsableSample] = []
    quarantined: list[Quarantined] = []
    arenas: list[Arena] = []
    at_once = _AT_ONCE[request.manifest.media]
    chunks = (records[start : start + at_once] for start in range(0, len(records), at_once))
    with closing(prefetch(chunks, partial(_some, pool, deep=request.options.deep), threads=workers)) as some:
        for chunk in some:
            for result in chunk.results:
                taken += 1
                if isinstance(result, Quarantined):
                    quarantined.append(result)
                    advance(1, 0)
                    continue
                samples.append(result)
                advance(1, result.size)
                if len(samples) == request.options.samples_per_shard:
                    pool.hold(chunk.arena)
                    arenas.append(chunk.arena)
                    yield CheckedShard(samples=samples, quarantined=tuple(quarantined), records=taken, arenas=arenas)
                    samples, quarantined, arenas = [], [], []
            arenas.append(chunk.arena)
    if samples or quarantined:
        yield CheckedShard(samples=samples, quarantined=tuple(quarantined), records=taken, arenas=arenas)


def _some(pool: ArenaPool, records: Iterable[Record], *, deep: bool) -> _Checked:
    arena = pool.take()
    return _Checked(results=[check_sample(record, arena, deep=deep) for record in records], arena=arena)


def check_sample(record: Record, arena: Arena, *, deep: bool) -> UsableSample | Quarantined:
    """One record, its files read into the arena."""
    if isinstance(record, BrokenSample):
        return Quarantined(id=record.id, reason=record.reason)
    try:
        sample, members = packed(record, deep=deep, read=arena.read)
    except BadSample as error:
        return Quarantined(id=record.sample.id, reason=str(error))
    size = sum(map(len, members.values()))
    return UsableSample(packed=(sample, members), size=size)
