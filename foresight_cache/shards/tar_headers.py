"""The records of a prepared tar, read header by header without its media."""

import os
import re

from foresight_cache.shards.members import RECORD
from foresight_cache.shards.shard_set import ShardSet

_BLOCK = 512
"""Bytes of a tar's header, and the unit to which its members are rounded up."""
_NAME, _SIZE = slice(0, 100), slice(124, 136)
"""Fields of a header."""


def read_records(shards: ShardSet, number: int) -> list[bytes]:
    """Returns the JSON records of the samples of one shard; its checksum is not looked at.

    Raises `ValueError` for a tar that is not as it was prepared, and `OSError`. `tarfile` would believe and allocate
    whatever size a damaged header claims.
    """
    shard = shards.shards[number]
    records, start = [], 0
    with (shards.path / shard.name).open("rb", buffering=0) as file:
        while (header := os.pread(file.fileno(), _BLOCK, start)).strip(b"\0"):
            name, length = header[_NAME].rstrip(b"\0"), int(header[_SIZE].strip(b"\0 ") or b"0", 8)
            start += _BLOCK
            if not re.fullmatch(rb"\d{9}\.[a-z0-9.]+", name) or not 0 <= length <= shard.size - start:
                raise ValueError(f"{shard.name} has a member {name!r} of {length} bytes at {start}")
            if name.endswith(f".{RECORD}".encode()):
                records.append(os.pread(file.fileno(), length, start))
            start += -(-length // _BLOCK) * _BLOCK
    if len(records) != len(shard.ids):
        raise ValueError(f"{shard.name} has {len(records)} records, {len(shard.ids)} were prepared")
    return records
