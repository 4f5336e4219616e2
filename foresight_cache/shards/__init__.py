"""Prepared shards: WebDataset tars of samples, with their blocks and headers, and the index that makes them a set.

    SHARDS/index.json           what is in which tar, with digests; written last, so that its presence is completion
    SHARDS/shard-000000.tar     000000000.jpg   the original media file, byte for byte
                                000000000.json  its `Sample`, as canonical JSON
                                000000001.jpg   …

A member's name is the sample's slot, counted over the whole set, and a suffix that says what it is (`members`). All
shards but the last have the same number of samples. The same samples give the same bytes.
"""

from foresight_cache.shards.index import open_shards, write_index
from foresight_cache.shards.shard_set import Quarantined, ShardInfo, ShardSet
from foresight_cache.shards.tar_reading import ShardSamples, Unpacked, open_shard, read_shard
from foresight_cache.shards.tar_writing import Packed, ShardTar, write_shard

__all__ = [
    "Packed",
    "Quarantined",
    "ShardInfo",
    "ShardSamples",
    "ShardSet",
    "ShardTar",
    "Unpacked",
    "open_shard",
    "open_shards",
    "read_shard",
    "write_index",
    "write_shard",
]
