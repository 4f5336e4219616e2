"""The writer of a shard."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from foresight_cache.records import canonical_json
from foresight_cache.runtime.durable_files import replacing
from foresight_cache.samples import Sample
from foresight_cache.shards.members import RECORD, Content, Members
from foresight_cache.shards.shard_set import ShardInfo, shard_name
from foresight_cache.shards.tar_blocks import ending, header, padding

_MOST_BLOCKS = 1024
"""Blocks that one call may write (`IOV_MAX` of Linux)."""

Packed = tuple[Sample, Members]
"""A sample to be written."""


class ShardTar:
    """Tar that is being written, a few samples at a time; it takes its name when it is finished."""

    def __init__(self, folder: Path, number: int, first_slot: int) -> None:
        self._name, self._next_slot = shard_name(number), first_slot
        self._ids: list[str] = []
        self._sha256, self._size = hashlib.sha256(), 0
        self._replacing = replacing(folder / self._name)
        self._file = self._replacing.__enter__()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, samples: Sequence[Packed]) -> None:
        """Writes samples behind the others, each with its members, which nobody needs any more on return."""
        blocks: list[Content] = []
        for slot, (sample, members) in enumerate(samples, start=self._next_slot + len(self)):
            for suffix, data in (*members.items(), (RECORD, canonical_json(sample.to_json()))):
                blocks += (header(f"{slot:09d}.{suffix}", len(data)), data, padding(len(data)))
        self._write(blocks)
        self._ids += [sample.id for sample, _ in samples]

    def finish(self) -> ShardInfo:
        """Makes the tar durable and gives it its name; returns what the index says of it."""
        self._write([ending(self._size)])
        self._replacing.__exit__(None, None, None)
        return ShardInfo(name=self._name, size=self._size, sha256=self._sha256.hexdigest(), ids=tuple(self._ids))

    def drop(self) -> None:
        """Removes what was written."""
        self._replacing.__exit__(InterruptedError, InterruptedError(), None)

    def _write(self, blocks: Sequence[Content]) -> None:
        for block in blocks:
            self._sha256.update(block)
            self._size += len(block)
        _write_all(self._file.fileno(), blocks)


def write_shard(folder: Path, number: int, first_slot: int, samples: Iterable[Packed]) -> ShardInfo:
    """Writes one tar of samples, one after the other, each with its members; it appears whole or not at all."""
    tar = ShardTar(folder, number, first_slot)
    try:
        for sample in samples:
            tar.add([sample])
    except BaseException:
        tar.drop()
        raise
    return tar.finish()


def _write_all(descriptor: int, blocks: Sequence[Content]) -> None:
    """Writes blocks in as few calls as the system permits, without copying them together."""
    for start in range(0, len(blocks), _MOST_BLOCKS):
        left = [memoryview(block) for block in blocks[start : start + _MOST_BLOCKS] if len(block)]
        while left:
            written = os.writev(descriptor, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]
