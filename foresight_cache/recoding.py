"""A cache written anew with other codecs, without the model: the same numbers, each of them compared."""

import os
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import numpy as np

from foresight_cache.errors import CorruptCache, UsageError
from foresight_cache.format.adoption import ReadOnce
from foresight_cache.format.codec_choice import CodecChoice
from foresight_cache.format.codecs import CODECS
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_object import open_committed, raw_size
from foresight_cache.format.layout import STORED_TYPES, CacheLayout, object_key
from foresight_cache.reader import Cache
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.writer import CacheWriter, PendingShard, ShardWriter


def recode(
    source: Cache, choice: CodecChoice, out: str | os.PathLike[str], *, workers: int = 2, advance: Advance = silent
) -> None:
    """Writes all that is committed of a cache to another place with other codecs; a second run goes on with the rest.

    Points that the choice says nothing of keep their codec. Samples, statistics and orders are copied, so that back
    again the bytes are the same. Any number of processes may do so at once. Raises `UsageError` where `out` is the
    source, `CorruptCache` where the source is not as it was written, and `CacheError` for a foreign cache at `out` or a
    disk without room. SIGINT and SIGTERM end it with `KeyboardInterrupt` after the current shard.
    """
    _refuse_same_place(source.path, os.fspath(out))
    if choice.is_empty:
        raise UsageError(f"--codec names no codec, expected one of {', '.join(CODECS)}")
    choice.check_points(source.layout.points)
    points = {
        name: replace(point, codec=choice.asked(name) or point.codec) for name, point in source.layout.points.items()
    }
    wanted = replace(source.layout, points=points)
    with (
        deferred_interrupts() as check,
        CacheWriter(out, wanted) as writer,
        ThreadPoolExecutor(workers) as threads,
    ):
        commits = {commit.shard: commit for commit in source.commits}
        for names, shards in _by_points(commits, wanted).items():
            while True:
                for pending in writer.pending(names, shards):
                    _check_room(writer, source, wanted, commits[pending.number], pending)
                    with writer.shard(pending) as shard:
                        _copy(source, commits[pending.number], pending, shard, threads)
                        advance(len(commits[pending.number].rows), shard.size)
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


def _check_room(writer: CacheWriter, source: Cache, wanted: CacheLayout, commit: Commit, pending: PendingShard) -> None:
    """Raises `CacheError` where the next shard, by what its codecs usually make of it, does not fit."""
    if room := writer.store.room():
        sizes = (
            wanted.points[name].chunk_codec.typical * raw_size(commit, source.layout, name) for name in pending.points
        )
        room.check(writer.store.place, round(sum(sizes)))


def _copy(
    source: Cache, commit: Commit, pending: PendingShard, shard: ShardWriter, threads: ThreadPoolExecutor
) -> None:
    """Writes one shard, its points side by side, and commits it with what its commit says of samples and points."""
    copied = [threads.submit(_copy_point, source, commit, shard, name) for name in pending.points]
    wait(copied)  # all of them, before the files may be closed
    for future in copied:
        future.result()
    shard.commit(commit.rows, known={name: commit.objects[name] for name in pending.points})


def _copy_point(source: Cache, commit: Commit, shard: ShardWriter, name: str) -> None:
    """Copies the chunks of one object in the order in which they stand. Raises `CorruptCache`."""
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
