"""The writer of a shard."""

import hashlib
import os
from collections.abc import Sequence
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


def write_shard(folder: Path, number: int, first_slot: int, samples: Sequence[Packed]) -> ShardInfo:
    """Writes one tar of samples, each with its members; it appears whole or not at all."""
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
    """Writes blocks in as few calls as the system permits, without copying them together."""
    for start in range(0, len(blocks), _MOST_BLOCKS):
        left = [memoryview(block) for block in blocks[start : start + _MOST_BLOCKS] if len(block)]
        while left:
            written = os.writev(descriptor, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]
