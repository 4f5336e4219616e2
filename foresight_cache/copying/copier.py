"""Whole shards of a cache are copied into another place, by any number of processes at once, each committed last."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from foresight_cache.copying.committing import write_commit
from foresight_cache.copying.copy_plan import CopyPlan, ShardLack
from foresight_cache.copying.objects import Entry, ObjectReader, has_bytes
from foresight_cache.copying.parts import commit_of
from foresight_cache.copying.ranges import RangeReader
from foresight_cache.errors import CorruptCache
from foresight_cache.format.adoption import adopted
from foresight_cache.format.commits import Commit
from foresight_cache.format.layout import commit_key, object_key
from foresight_cache.format.stores.writable import Claim
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.runtime.renewal import Renewal

_OBJECTS_AT_ONCE = 16
_SHARDS_AT_ONCE = 16
_BYTES_AT_ONCE = 4 << 30
_RECORDS_AT_ONCE = 8
"""Commits of the source that are read ahead."""
_POLL_SECONDS = 0.2
"""Seconds between two looks at whether a signal has come."""
_WAIT_SECONDS = 0.5
"""Seconds between two looks at whether another process is done."""


def copy_shards(
    plan: CopyPlan, numbers: Collection[int], advance: Advance = silent, say: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Copies what the target of a plan lacks of these shards; returns what went wrong with objects, in sentences.

    A shard with such an object is not committed; all others are. Any number of processes may do so at once: they share
    out the shards, and each returns when all are there. `advance` gets bytes as they come, `say` a line where there is
    nothing left to do but to wait for others. Raises `CacheError` where a store cannot be reached, and `OSError`, of a
    full disk for example. SIGINT and SIGTERM end it with `KeyboardInterrupt` after the current ranges; what is
    finished is kept.
    """
    if not numbers:
        return []
    stop = Event()
    with ExitStack() as stack:
        check = stack.enter_context(deferred_interrupts())
        ranges = stack.enter_context(RangeReader())
        copier = _Copier(plan, ranges, stop, advance, check)
        stack.callback(copier.close)
        with closing(prefetch(numbers, copier.look, threads=_RECORDS_AT_ONCE)) as looks:
            left = copier.copy(looks)
        if left:
            say(f"waiting for another process that copies {len(left)} shards into {plan.target.place}")
        while left:
            copier.wait()
            left = copier.copy(left)
    return copier.problems


@dataclass(eq=False)
class _OpenShard:
    """A shard that is being copied."""

    number: int
    lack: ShardLack
    claim: Claim
    copies: list["Future[None]"] = field(default_factory=list)
    adopted: dict[str, Entry] = field(default_factory=dict)
    """Entries of objects that others have put there, with other bytes than the source's."""


class _Copier:
    """Copies shards, several at once, each under a claim."""

    def __init__(
        self, plan: CopyPlan, ranges: RangeReader, stop: Event, advance: Advance, check: Callable[[], None]
    ) -> None:
        self.problems: list[str] = []
        self._plan, self._check, self._stop = plan, check, stop
        self._source = ObjectReader(store=plan.source.store, ranges=ranges, stop=stop, advance=advance)
        self._threads = ThreadPoolExecutor(_OBJECTS_AT_ONCE, "object")
        self._open: deque[_OpenShard] = deque()
        self._renewal = Renewal()

    def look(self, number: int) -> Commit | None:
        """Returns the record that a shard is to have; None where it cannot be copied."""
        try:
            return self._plan.wanted(number)
        except CorruptCache as error:
            self._problem(str(error))
            return None

    def copy(self, wanted: Iterable[Commit | None]) -> list[Commit]:
        """Copies the shards of these records, and returns those that other processes have."""
        taken = []
        for commit in filter(None, wanted):
            self._check()
            if not self._begin(commit):
                taken.append(commit)
            while self._open and self._is_full():
                self._finish()
        while self._open:
            self._finish()
        return [commit for commit in taken if self._lack(commit)]

    def wait(self) -> None:
        """Waits a moment for other processes."""
        self._check()
        time.sleep(_WAIT_SECONDS)

    def close(self) -> None:
        """Breaks off what is under way and gives the claims back."""
        self._stop.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._renewal.close()
        for shard in self._open:
            shard.claim.release()

    def _begin(self, wanted: Commit) -> bool:
        """Begins with a shard that lacks something; False where another process has it."""
        claim = self._plan.target.claim(f"{wanted.shard:06d}")
        if claim is None:
            return False
        try:
            lack = self._lack(wanted)  # its last holder may have committed it
        except BaseException:
            claim.release()
            raise
        if lack is None:
            claim.release()
            return True
        shard = _OpenShard(wanted.shard, lack, claim)
        self._open.append(shard)
        self._renewal.add(claim)
        shard.copies += [self._threads.submit(self._copy, shard, name) for name in lack.missing]
        return True

    def _lack(self, wanted: Commit) -> ShardLack | None:
        """What a shard lacks; None where it lacks nothing, or cannot be copied."""
        try:
            lack = self._plan.lack(wanted)
        except CorruptCache as error:
            self._problem(str(error))
            return None
        return lack if lack.missing else None

    def _is_full(self) -> bool:
        """Tells whether enough is under way, by the number of objects and by the bytes in scratch folders."""
        waiting = sum(not copy.done() for shard in self._open for copy in shard.copies)
        size = sum(entry["bytes"] for shard in self._open for entry in shard.lack.missing.values())
        return waiting >= _OBJECTS_AT_ONCE or size >= _BYTES_AT_ONCE or len(self._open) >= _SHARDS_AT_ONCE

    def _finish(self) -> None:
        """Waits for the oldest shard and commits it, unless something is wrong with one of its objects."""
        shard = self._open[0]
        while wait(shard.copies, timeout=_POLL_SECONDS).not_done:
            self._check()
        failures = [error for copy in shard.copies if (error := copy.exception())]
        for error in failures:
            if not isinstance(error, CorruptCache):
                raise error
            self._problem(str(error))
        if not failures:
            self._commit(shard)
        self._open.popleft()
        self._release(shard)

    def _commit(self, shard: _OpenShard) -> None:
        plan = self._plan
        commit = commit_of(shard.lack.wanted, shard.lack.missing, plan.source.layout)
        commit = replace(commit, objects={**commit.objects, **shard.adopted})
        try:
            write_commit(plan.target, plan.source.layout, commit, plan.damaged.get(commit_key(shard.number)))
        except CorruptCache as error:
            self._problem(str(error))

    def _copy(self, shard: _OpenShard, name: str) -> None:
        """Copies an object; a second time where bytes are wrong, as from a connection that garbled them."""
        target, key, entry = self._plan.target, object_key(name, shard.number), shard.lack.missing[name]
        if has_bytes(target, key, entry):  # an attempt that was broken off has published it
            return
        path = shard.claim.scratch / name
        try:
            self._source.fetch(key, entry, path)
        except CorruptCache:
            self._source.fetch(key, entry, path)
        bad = self._tag_of_bad(key, lost=name in shard.lack.lost)
        if bad is None:
            self._create(shard, name, path)
        elif not target.replace(key, bad, path):
            raise CorruptCache(f"{target.place}/{key} has changed while it was mended")

    def _create(self, shard: _OpenShard, name: str, path: Path) -> None:
        """Puts an object where there is none; one that is there and whole is adopted, whoever computed it."""
        target, key = self._plan.target, object_key(name, shard.number)
        while not target.create(key, path):
            try:
                tag = target.tag(key)
                shard.adopted[name] = adopted(target, self._plan.layout, name, shard.number, shard.lack.wanted.rows)
            except FileNotFoundError:
                continue  # somebody has removed it meanwhile
            except CorruptCache:  # the end of a copy that was interrupted
                if target.replace(key, tag, path):
                    return
            else:
                return

    def _tag_of_bad(self, key: str, *, lost: bool) -> str | None:
        """Returns the tag of an object that is to be replaced: found damaged, or committed with another size."""
        if key in self._plan.damaged or not lost:
            return self._plan.damaged.get(key)
        try:
            return self._plan.target.tag(key)
        except FileNotFoundError:
            return None

    def _release(self, shard: _OpenShard) -> None:
        self._renewal.remove(shard.claim)
        shard.claim.release()

    def _problem(self, sentence: str) -> None:
        if sentence not in self.problems:
            self.problems.append(sentence)
