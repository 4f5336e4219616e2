"""How far an extraction is, from its cache alone, wherever the processes that write it run."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from foresight_cache.errors import NotACache
from foresight_cache.format.commits import Commit
from foresight_cache.format.committed_shards import all_committed
from foresight_cache.format.layout import ROOT_KEY, SAMPLES, CacheLayout
from foresight_cache.format.metadata import read_root
from foresight_cache.format.stores import ShowsWork, Store
from foresight_cache.runtime.attempts import work_of, worker_of

WINDOW_SECONDS = 300.0
"""Seconds over which a rate is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardAtWork:
    """A shard that is being written."""

    shard: int
    worker: str
    """Process and machine, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Headway:
    """How far a cache is at one moment."""

    shards: int
    shards_done: int
    """Shards that have all points of the cache."""
    samples: int
    samples_done: int
    bad: int
    """Quarantined samples of the committed shards."""
    at_work: tuple[ShardAtWork, ...] | None
    """By shard; None where the store does not tell."""
    samples_per_second: float | None
    """Of the last minutes; None until something was finished while it was watched."""

    @property
    def is_complete(self) -> bool:
        """True if every shard has all points."""
        return self.shards_done == self.shards

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the cache is complete at this rate; None where there is no rate."""
        left = self.samples - self.samples_done
        if not left:
            return 0.0
        return left / self.samples_per_second if self.samples_per_second else None

    def to_json(self) -> dict[str, Any]:
        """Returns all fields and what follows from them."""
        return asdict(self) | {"complete": self.is_complete, "seconds_left": self.seconds_left}


class Watcher:
    """Looks at a cache again and again, and reads a commit once only."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._commits: dict[int, Commit] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def look(self) -> Headway:
        """Returns how far the cache is now. Raises `NotACache`, `UnsupportedFormat` and `CorruptCache`."""
        layout = self._layout()
        self._read_commits(layout)
        done = {number for number, commit in self._commits.items() if layout.points.keys() <= commit.objects.keys()}
        finished = sum(layout.shards[number].samples for number in done)
        rows = (row for commit in self._commits.values() for row in commit.rows)
        return Headway(
            shards=len(layout.shards),
            shards_done=len(done),
            samples=layout.samples,
            samples_done=finished,
            bad=sum(row.status == "bad" for row in rows),
            at_work=self._at_work(),
            samples_per_second=self._rate(finished),
        )

    def _layout(self) -> CacheLayout:
        try:
            root = self._store.read(ROOT_KEY)
        except (FileNotFoundError, NotADirectoryError):
            raise NotACache(
                f"{self._store.place} holds no cache yet: it has no {ROOT_KEY}; "
                "start 'foresight extract' first, which makes it when its model is loaded"
            ) from None
        return read_root(root, self._store.place)

    def _read_commits(self, layout: CacheLayout) -> None:
        """Reads the commits that are new, and those that lacked a point when they were read last."""
        whole = {number for number, commit in self._commits.items() if layout.points.keys() <= commit.objects.keys()}
        known = {f"{number:06d}.json" for number in whole}
        there = set(self._store.names(SAMPLES))
        read = all_committed(self._store, layout, there - known)
        self._commits = {number: self._commits[number] for number in whole if f"{number:06d}.json" in there} | read

    def _at_work(self) -> tuple[ShardAtWork, ...] | None:
        if not isinstance(self._store, ShowsWork):
            return None
        named = [(work_of(attempt) or "", worker_of(attempt) or "") for attempt in self._store.attempts()]
        return tuple(ShardAtWork(shard=int(work), worker=worker) for work, worker in named if work.isdecimal())

    def _rate(self, done: int) -> float | None:
        """Returns the samples per second since the oldest look within the window, or the last one before it."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        begun, before = self._seen[0]
        return (done - before) / (now - begun) if done > before and now > begun else None
