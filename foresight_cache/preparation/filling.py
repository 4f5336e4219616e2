"""Writes checked samples into the tars of shards as they come, so that no shard is ever in memory as a whole."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from foresight_cache.preparation.arenas import ArenaPool
from foresight_cache.preparation.checking import CheckedChunk, UsableSample
from foresight_cache.preparation.request import PreparationRequest
from foresight_cache.preparation.resuming import FinishedShard
from foresight_cache.runtime.progress import Advance
from foresight_cache.shards import Packed, Quarantined, ShardTar


@dataclass(frozen=True, kw_only=True, slots=True)
class FilledShard:
    """Shard whose samples are all written, though the tar is neither durable nor under its name yet."""

    tar: ShardTar | None
    """None where only samples that could not be used came after the last shard."""
    quarantined: tuple[Quarantined, ...]
    """Samples that could not be used, between the last shard's last sample and this one's."""
    listed: int
    """Number of listed samples up to the end of this shard, usable or not."""

    def finish(self) -> FinishedShard:
        """Finishes the tar."""
        shard = self.tar.finish() if self.tar else None
        return FinishedShard(shard=shard, quarantined=self.quarantined, listed=self.listed)


def filled_shards(
    request: PreparationRequest,
    chunks: Iterable[CheckedChunk],
    finished: int,
    listed: int,
    pool: ArenaPool,
    advance: Advance,
) -> Generator[FilledShard]:
    """Yields the shards in order, each full but the last, after `finished` ones of so many listed samples.

    A tar that is not full when the generator is closed is removed.
    """
    filling = _Filling(request, finished, listed)
    try:
        for chunk in chunks:
            for result in chunk.results:
                filling.add(result)
                advance(1, result.size if isinstance(result, UsableSample) else 0)
                if filling.is_full:
                    yield filling.pop()
            filling.write()
            pool.give_back(chunk.arena)
        if not filling.is_empty:
            yield filling.pop()
    finally:
        filling.drop()


class _Filling:
    """The shard that is being filled."""

    def __init__(self, request: PreparationRequest, number: int, listed: int) -> None:
        self._out, self._capacity = request.out, request.options.samples_per_shard
        self._number, self._listed = number, listed
        self._tar: ShardTar | None = None
        self._waiting: list[Packed] = []
        self._quarantined: list[Quarantined] = []

    @property
    def is_full(self) -> bool:
        return len(self._waiting) + (len(self._tar) if self._tar else 0) == self._capacity

    @property
    def is_empty(self) -> bool:
        return not (self._tar or self._waiting or self._quarantined)

    def add(self, result: UsableSample | Quarantined) -> None:
        self._listed += 1
        if isinstance(result, Quarantined):
            self._quarantined.append(result)
        else:
            self._waiting.append(result.packed)

    def write(self) -> None:
        """Writes the samples that wait for it."""
        if self._waiting:
            if self._tar is None:
                self._tar = ShardTar(self._out, self._number, self._number * self._capacity)
            self._tar.add(self._waiting)
            self._waiting = []

    def pop(self) -> FilledShard:
        """Returns the shard and begins the next one."""
        self.write()
        filled = FilledShard(tar=self._tar, quarantined=tuple(self._quarantined), listed=self._listed)
        self._tar, self._quarantined = None, []
        self._number += 1
        return filled

    def drop(self) -> None:
        """Removes what is written of the shard."""
        if self._tar is not None:
            self._tar.drop()
