"""A prepared dataset: its samples, and the tars that hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foresight_cache.errors import ShardError
from foresight_cache.records import digest
from foresight_cache.samples import Media

AGAIN = "prepare the dataset again into a new folder"
"""Way out at the end of a message about shards that are not what was prepared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """One tar."""

    name: str
    size: int
    """Bytes of the tar."""
    sha256: str
    ids: tuple[str, ...]
    """Sample ids in the order of the tar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A sample that is not in any shard, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSet:
    """A prepared dataset: all that its index says."""

    path: Path
    """The folder that holds the index and the tars."""
    dataset: str
    manifest: Mapping[str, Any]
    """Content of the manifest that it was prepared by."""
    manifest_digest: str
    """`Manifest.digest` of it."""
    samples_per_shard: int
    request: Mapping[str, Any]
    """Options of the preparation by name; one that was not given is not there."""
    source: str
    """SHA-256 over all that the dataset's reader listed, sound or broken."""
    shards: tuple[ShardInfo, ...]
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def media(self) -> Media:
        """Kind of all samples."""
        return "clip" if self.manifest.get("media") == "clip" else "image"

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of the tars in order: the identity of the data."""
        return digest([shard.sha256 for shard in self.shards])

    @property
    def samples(self) -> int:
        return sum(len(shard.ids) for shard in self.shards)

    @property
    def size(self) -> int:
        """Bytes of all tars."""
        return sum(shard.size for shard in self.shards)

    def first_slot(self, number: int) -> int:
        """Returns the slot of the first sample of a shard."""
        return number * self.samples_per_shard


def shard_name(number: int) -> str:
    """Returns the file name of a shard.

    >>> shard_name(7)
    'shard-000007.tar'
    """
    return f"shard-{number:06d}.tar"


def check_size(path: Path, shard: ShardInfo) -> None:
    """Raises `ShardError` where a tar is missing or of another size."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise ShardError(f"{path} is missing; {AGAIN}, or bring the file back") from None
    if size != shard.size:
        raise ShardError(f"{path} has {size} bytes, {shard.size} were prepared; {AGAIN}, or bring the file back")
