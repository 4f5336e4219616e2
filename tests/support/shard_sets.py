"""Small sets of shards with known contents, written through the real writer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foresight_cache.errors import ShardError
from foresight_cache.samples import Sample
from foresight_cache.shards import (
    Packed,
    Quarantined,
    ShardInfo,
    ShardSet,
    write_index,
    write_shard,
)
from foresight_cache.shards.members import media_member_extension


def sample(number: int, suffix: str = ".jpg") -> Packed:
    return (
        Sample(
            id=f"kitchen/train/{number:03d}",
            dataset="kitchen",
            split="train",
            group=f"kitchen/train/{number:03d}",
            media="image",
            file_name=f"train/{number:03d}{suffix}",
            width=10,
            height=20,
            annotations={"captions": ["Tasse à café"]},
        ),
        {media_member_extension(f"a{suffix}"): f"media {number} \0\xff".encode("latin-1") * (number + 1)},
    )


def write(folder: Path, count: int = 5, samples_per_shard: int = 2) -> ShardSet:
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[ShardInfo] = []
    for start in range(0, count, samples_per_shard):
        batch = [sample(number) for number in range(start, min(start + samples_per_shard, count))]
        shards.append(write_shard(folder, len(shards), start, batch))
    shard_set = ShardSet(
        path=folder,
        dataset="kitchen",
        manifest={"name": "kitchen", "media": "image"},
        manifest_digest="ab" * 32,
        samples_per_shard=samples_per_shard,
        request={"limit": 7},
        source="cd" * 32,
        shards=tuple(shards),
        quarantined=(Quarantined(id="kitchen/train/bad", reason="the file is empty"),),
    )
    write_index(shard_set)
    return shard_set


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ShardError) as caught:
        act()
    return str(caught.value)
