"""The committed shards of a cache written to another place, by any number of processes."""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from foresight_cache.errors import CorruptCache, UsageError
from foresight_cache.format.adoption import ReadOnce
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import open_committed, raw_size
from foresight_cache.format.layout import STORED_TYPES, CacheLayout, object_key
from foresight_cache.reader import Cache
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.writer import CacheWriter, PendingShard, ShardWriter


def rewrite(
    source: Cache,
    wanted: CacheLayout,
    out: str | os.PathLike[str],
    write: Callable[[Commit, PendingShard, ShardWriter], None],
    *,
    becomes: Callable[[Commit], Commit] = lambda commit: commit,
    advance: Advance = silent,
) -> None:
    """Writes the committed shards of a cache to another place, which lacks them, shard by shard.

    Args:
        source: A cache.
        wanted: Layout of the new one, of the same shards and of points that the source has.
        out: Place of the new one.
        write: Writes a shard, of which it is given the source's commit, and commits it.
        becomes: Returns what a commit of the source is in the new cache, as far as sizes go.
        advance: Called for each shard with its numbers of samples and of bytes.

    Raises: `UsageError` where `out` is the source; `CacheError` for a foreign cache at `out` or a disk without room.
        SIGINT and SIGTERM end it with `KeyboardInterrupt` after the current shard.
    """
    _refuse_same_place(source.path, os.fspath(out))
    with deferred_interrupts() as check, CacheWriter(out, wanted) as writer:
        commits = {commit.shard: commit for commit in source.commits}
        for names, shards in _by_points(commits, wanted).items():
            while True:
                for pending in writer.pending(names, shards):
                    commit = commits[pending.number]
                    _check_room(writer, wanted, becomes(commit), pending)
                    with writer.shard(pending) as shard:
                        write(commit, pending, shard)
                        advance(len(commit.rows), shard.size)
                    check()
                if not writer.wait_for_others(names, shards):
                    break


def _refuse_same_place(source: str, out: str) -> None:
    """Raises `UsageError` where the new cache would lie in the old one."""
    there, here = (place.rstrip("/") if "://" in place else str(Path(place).resolve()) for place in (source, out))
    if f"{here}/".startswith(f"{there}/"):
        raise UsageError(f"--out {out} is the cache {source} itself, or in it; name another place")


def _by_points(commits: Mapping[int, Commit], cache: CacheLayout) -> dict[tuple[str, ...], list[int]]:
    """Returns the committed shards by the points that they have, which are all in a finished cache."""
    shards: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, commit in commits.items():
        shards[tuple(name for name in cache.points if name in commit.objects)].append(number)
    return shards


def _check_room(writer: CacheWriter, wanted: CacheLayout, commit: Commit, pending: PendingShard) -> None:
    """Raises `CacheError` where the next shard, by what its codecs usually make of it, does not fit."""
    if room := writer.store.room():
        sizes = (wanted.points[name].chunk_codec.typical * raw_size(commit, wanted, name) for name in pending.points)
        room.check(writer.store.place, round(sum(sizes)))


def copy_point(source: Cache, commit: Commit, shard: ShardWriter, name: str) -> None:
    """Copies the chunks of a point's object of a shard in the order in which they stand.

    Raises `CorruptCache` where it is not as it was committed.
    """
    key, entry, dtype = (
        object_key(name, commit.shard),
        commit.objects[name],
        STORED_TYPES[source.layout.points[name].dtype],
    )
    object_ = ReadOnce(source.store, key)
    reader = open_committed(object_, source.layout, name, commit.shard, entry["bytes"])
    for position in reader.written:
        shard.add_chunk(name, position, np.frombuffer(reader.chunk(position), dtype))
    if object_.digest() != entry["sha256"]:
        raise CorruptCache(
            f"{source.path}/{key} is not as it was written: its SHA-256 is not the committed one; restore it or "
            "extract the shard again"
        )
