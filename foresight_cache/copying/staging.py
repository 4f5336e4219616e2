"""A copy near at hand that stands for a cache far away: arrays are read from it, and all else is as it is there."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from foresight_cache.answer_columns import AnswerColumns
from foresight_cache.copying.moving import Move, planned
from foresight_cache.copying.parts import Part
from foresight_cache.errors import CacheError, UsageError
from foresight_cache.format.stores import Store, open_store, open_writable
from foresight_cache.format.stores.writable import WritableStore
from foresight_cache.points import LABELS, PIXELS
from foresight_cache.reader import Cache
from foresight_cache.runtime.mounts import filesystem_of
from foresight_cache.runtime.renewal import renewed

_CLAIM = "stage"
_POLL_SECONDS = 0.5
IN_MEMORY = ("tmpfs", "ramfs")
"""Filesystems whose files take memory away from the work itself."""


class StagedStore:
    """Objects of some arrays from one store, and all else from another: a `Store`."""

    def __init__(self, source: Store, stage: Store, arrays: Collection[str]) -> None:
        self.place = stage.place
        self.reads_at_once = source.reads_at_once  # small objects are the source's
        self._source, self._stage, self._arrays = source, stage, frozenset(arrays)

    def read(self, key: str) -> bytes:
        return self._of(key).read(key)

    def ranges(self, key: str) -> tuple[int, Callable[[int, int], Any]]:
        return self._of(key).ranges(key)

    def fill(self, key: str, start: int, buffers: Sequence[memoryview]) -> int:
        return self._of(key).fill(key, start, buffers)

    def names(self, key: str) -> list[str]:
        return self._source.names(key)

    def sizes(self) -> dict[str, int]:
        return self._source.sizes()

    def _of(self, key: str) -> Store:
        name, _, rest = key.partition("/")
        return self._stage if name in self._arrays and rest.startswith("c/") else self._source


class StagedCache(Cache):
    """A cache under its own place, with its samples and points, of which some are read from a copy nearby."""

    def __init__(
        self, source: str, stage: str, arrays: Sequence[str], shards: Sequence[int], answers: str | None = None
    ) -> None:
        """Opens the cache at `source` with these shards; the arrays of these names are read at `stage`."""
        said = AnswerColumns.read(answers) if answers else None
        super().__init__(StagedStore(open_store(source), open_store(stage), arrays), shards, said)
        self.path = source
        self._again = partial(StagedCache, source, stage, tuple(arrays), tuple(shards), answers)

    @property
    def reopen(self) -> Callable[[], Cache]:
        return self._again

    def __reduce__(self) -> tuple[Any, ...]:
        return self._again, ()


def check_stage(folder: Path, *, in_memory: bool) -> None:
    """Raises `UsageError` for a folder in memory, unless that is what is wanted."""
    kind = filesystem_of(folder)
    if kind in IN_MEMORY and not in_memory:
        raise UsageError(
            f"--stage {folder} lies in memory ({kind}), which training needs itself; name a folder on a disk, "
            "or say --stage-in-memory"
        )


@contextmanager
def staging(cache: Cache, folder: Path, arrays: Collection[str], say: Callable[[str], None]) -> Iterator["Stage"]:
    """Yields what is to be copied, once no other process copies into the folder; what it copied is there then.

    Raises what `Move` raises.
    """
    target = open_writable(folder)
    with _claimed(target, f"waiting for another process that stages {cache.path} in {folder}", say):
        names = tuple(name for name in cache.arrays if name in {*arrays, LABELS, PIXELS})
        part = Part(names, tuple(commit.shard for commit in cache.commits))
        yield Stage(cache, planned(cache, target, part))


@dataclass(frozen=True, slots=True)
class Stage:
    """A copy nearby that is to be made or completed."""

    cache: Cache
    move: Move

    def opened(self) -> Cache:
        """Opens the cache that reads from the copy. Raises `CacheError` where the copy is of another computation."""
        plan = self.move.plan
        if different := self.move.survey.different:
            raise CacheError(
                f"{plan.target.place} holds {len(different)} objects that were computed apart from those of "
                f"{self.cache.path}, the first {different[0]}; name another folder with --stage"
            )
        answers = self.cache.answers.place if self.cache.answers else None
        return StagedCache(self.cache.path, plan.target.place, plan.part.points, plan.part.shards, answers)


@contextmanager
def _claimed(target: WritableStore, waiting: str, say: Callable[[str], None]) -> Iterator[None]:
    claim = target.claim(_CLAIM)
    if claim is None:
        say(waiting)
    while claim is None:
        time.sleep(_POLL_SECONDS)
        claim = target.claim(_CLAIM)
    try:
        with renewed(claim):
            yield
    finally:
        claim.release()
