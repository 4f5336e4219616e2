"""A cache written anew with other codecs, without the model: the same numbers, each of them compared."""

import os
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from foresight_cache.errors import UsageError
from foresight_cache.format.codec_choice import CodecChoice
from foresight_cache.format.codecs import CODECS
from foresight_cache.format.commits import Commit
from foresight_cache.reader import Cache
from foresight_cache.rewriting.shard_by_shard import copy_point, rewrite
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.writer import PendingShard, ShardWriter


def recode(
    source: Cache, choice: CodecChoice, out: str | os.PathLike[str], *, workers: int = 2, advance: Advance = silent
) -> None:
    """Writes all that is committed of a cache to another place with other codecs; a second run goes on with the rest.

    Points that the choice says nothing of keep their codec. Samples, statistics and orders are copied, so that back
    again the bytes are the same. Any number of processes may do so at once. Raises `UsageError` where `out` is the
    source, `CorruptCache` where the source is not as it was written, and `CacheError` for a foreign cache at `out` or a
    disk without room. SIGINT and SIGTERM end it with `KeyboardInterrupt` after the current shard.
    """
    if choice.is_empty:
        raise UsageError(f"--codec names no codec, expected one of {', '.join(CODECS)}")
    choice.check_points(source.layout.points)
    points = {
        name: replace(point, codec=choice.asked(name) or point.codec) for name, point in source.layout.points.items()
    }
    wanted = replace(source.layout, points=points)
    with ThreadPoolExecutor(workers) as threads:

        def write(commit: Commit, pending: PendingShard, shard: ShardWriter) -> None:
            _copy(source, commit, pending, shard, threads)

        rewrite(source, wanted, out, write, advance=advance)


def _copy(
    source: Cache, commit: Commit, pending: PendingShard, shard: ShardWriter, threads: ThreadPoolExecutor
) -> None:
    """Writes one shard, its points side by side, and commits it with what its commit says of samples and points."""
    copied = [threads.submit(copy_point, source, commit, shard, name) for name in pending.points]
    wait(copied)  # all of them, before the files may be closed
    for future in copied:
        future.result()
    shard.commit(commit.rows, known={name: commit.objects[name] for name in pending.points})
