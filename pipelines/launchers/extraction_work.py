"""Extraction as a work whose pieces are shards."""

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from foresight_cache.encoders import LoadOptions
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.extraction_loop import Extraction, extract
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution
from foresight_cache.format.stores import open_writable
from foresight_cache.runtime.progress import StageTimes
from foresight_cache.runtime.work_share import WHOLE, WorkShare
from pipelines.launchers.work import Done, Piece
from pipelines.opening import opened

MOST_AT_ONCE = 8
"""Shards that a worker is given at a time: it decodes the next one while it computes."""


@dataclass(frozen=True, kw_only=True)
class ExtractionWork:
    """A `Work`: `foresight extract` by its arguments."""

    shards: Path
    model: str
    points: str
    inputs: InputSpec
    loading: LoadOptions
    execution: Execution
    out: str
    pieces: Sequence[Piece]
    gpus: int = 1
    share: WorkShare = WHOLE
    times: StageTimes = field(default_factory=StageTimes)
    most_at_once: int = MOST_AT_ONCE

    @property
    def needs_gpu(self) -> bool:
        return self.loading.device.startswith("cuda") or self.gpus > 1

    @property
    def threads(self) -> int:
        return self.execution.workers

    @cached_property
    def plan(self) -> CachePlan:
        """Plan of the cache; its model is loaded when it is first asked for, in the process that asks."""
        loaded = opened(self.shards, self.model, self.points, self.inputs, self.loading, self.execution)
        return CachePlan(*loaded, self.out)

    def tidy(self) -> None:
        """Removes what workers that have died left; to be called where all pieces are done."""
        open_writable(self.out, self.execution.scratch).sweep()

    def worker(self) -> "ExtractionWorker":
        return ExtractionWorker(Extraction(self.plan), os.fspath(self.out))

    def here(self, done: Callable[[Done], None]) -> None:
        plan = self.plan
        extract(
            plan.shards,
            plan.encoder,
            plan.options,
            self.out,
            lambda samples, size: done(Done("", samples, size)),
            self.times,
            share=self.share,
        )


class ExtractionWorker:
    """A `Worker` with a model. What runs it has the signals: it works in a thread, where there are none."""

    def __init__(self, extraction: Extraction, out: str) -> None:
        self._extraction, self._out = extraction, out

    def carry_out(self, pieces: Sequence[Piece], *, again: bool) -> Iterator[Done]:
        numbers = [int(piece) for piece in pieces]
        finished: queue.SimpleQueue[Done | BaseException | None] = queue.SimpleQueue()

        def write() -> None:
            try:
                self._extraction.write(numbers, lambda *commit: finished.put(Done(*commit)), exclusive=not again)
                finished.put(None)
            except BaseException as error:
                finished.put(error)

        threading.Thread(target=write, name="extraction", daemon=True).start()
        written: set[Piece] = set()
        while (each := finished.get()) is not None:
            if isinstance(each, BaseException):
                raise each
            written.add(each.piece)
            yield each
        cache, names = self._extraction.cache, self._extraction.plan.names
        missing = set(cache.missing_shards(names, numbers))
        yield from (Done(number, 0, 0) for number in numbers if number not in written | missing)
