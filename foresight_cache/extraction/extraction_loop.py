"""The loop of an extraction: shards in, one forward pass per batch, shards of a cache out."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from foresight_cache.encoders import Encoder
from foresight_cache.errors import DatasetError, Interrupted
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.feature_checks import extremes
from foresight_cache.extraction.host_copies import HostCopies
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.out_of_memory import Forward, Halving
from foresight_cache.extraction.prepared_batches import PreparedBatch, prepare_batch, raw_batches
from foresight_cache.extraction.recording import Committed, ShardRecorder
from foresight_cache.points import LABELS, PIXELS
from foresight_cache.reader import Cache
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.pipelining import BackgroundWorker, prefetch
from foresight_cache.runtime.progress import Advance, StageTimes, silent
from foresight_cache.runtime.work_share import WHOLE, WorkShare
from foresight_cache.shards import ShardSet
from foresight_cache.writer import CacheWriter

if TYPE_CHECKING:
    import torch


class Extraction:
    """Writes shards of the cache of a plan, as many as it is told at a time. A context manager.

    Raises what `CachePlan` raises, and `CacheError` for a disk without room for what is missing.
    """

    def __init__(self, plan: CachePlan, forward: Forward | None = None, times: StageTimes | None = None) -> None:
        """Creates the cache, or joins it. `forward` and `times` are those of `extract`."""
        plan.check_free_space()
        self.plan, self._times = plan, times or StageTimes()
        self._halving = Halving(plan.inputs, forward or plan.encoder.forward)
        self.cache = CacheWriter(plan.store, plan.wanted, plan.merged)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cache.__exit__(kind, error, trace)

    def write(
        self,
        numbers: Sequence[int],
        committed: Committed,
        check: Callable[[], None] = lambda: None,
        *,
        exclusive: bool = True,
    ) -> bool:
        """Writes those of some shards that lack points and that no other process has; with `exclusive` false all.

        Calls `committed` after each commit, in a thread, and `check` between batches. Raises what `extract` raises.

        Returns: Whether there was any.
        """
        plan, workers = self.plan, self.plan.options.execution.workers
        work = raw_batches(plan, self.cache.pending(plan.names, numbers, exclusive=exclusive))
        prepare = partial(prepare_batch, inputs=plan.inputs, with_text=plan.inputs.runs_text(plan.options.points))
        with (
            closing(prefetch(work, prepare, threads=workers)) as ready,
            closing(ShardRecorder(self.cache, plan.inputs, workers, committed)) as recorder,
            BackgroundWorker(waiting=1) as behind,
        ):
            batches = self._times.waiting("input", ready)
            return _computed(batches, self._halving, recorder, behind, self._times, check)


def extract(
    shards: ShardSet,
    encoder: Encoder,
    options: ExtractionOptions,
    out: str | os.PathLike[str],
    advance: Advance = silent,
    times: StageTimes | None = None,
    forward: Forward | None = None,
    share: WorkShare = WHOLE,
) -> None:
    """Writes what the cache at `out` lacks; a second run goes on where the first one stopped.

    Any number of processes may do so at once: they share the shards, and each returns when all are there, or those of
    the part of `share`. One that does not wait raises `Interrupted` where others have all that is left.
    `times` counts where the loop around the model spends its time; `forward` is called instead of the encoder's own.
    Quarantined samples are recorded and counted, see `open_cache(out).samples`. Raises `CacheError` for a foreign cache
    or a disk without room for what is missing, `ShardError` for a damaged tar and `FeatureError` for values that no
    cache should hold. SIGINT and `STOP_SIGNALS` end it with `KeyboardInterrupt` after the current batch.
    """
    plan = CachePlan(shards, encoder, options, out)
    numbers = share.order(range(len(plan.wanted.shards)))
    with deferred_interrupts() as check, Extraction(plan, forward, times) as extraction:
        cache = extraction.cache
        while True:
            found = extraction.write(numbers, lambda _, samples, size: advance(samples, size), check)
            check()
            if not (found or share.waits) and (left := len(list(cache.missing_shards(plan.names, numbers)))):
                raise Interrupted(
                    f"nothing is left but what other processes are writing, {left} shards of {os.fspath(out)}; "
                    "run it again once they have ended, to see to what they leave"
                )
            if not cache.wait_for_others(plan.names, numbers):
                return


def _computed(
    batches: Iterable[PreparedBatch],
    halving: Halving,
    recorder: ShardRecorder,
    behind: BackgroundWorker,
    times: StageTimes,
    check: Callable[[], None],
) -> bool:
    """All batches through the model; each is written while the next one is computed. Calls `check` between them.

    Returns: Whether there was any batch.
    """
    check()
    under_way: HostCopies | None = None
    for batch in batches:
        with times.measured("model"):
            features = _features(batch, halving)
            computed = HostCopies(features), HostCopies(extremes(features))
            if under_way:  # one batch is in the device's queue while another one is computed, and no more
                under_way.wait()
            under_way = computed[0]
        with times.measured("writing"):
            behind.put(partial(recorder.add, batch, computed, halving.pop_halved()))
        check()
    with times.measured("writing"):
        behind.drain()
    return under_way is not None


def _features(batch: PreparedBatch, halving: Halving) -> "dict[str, list[torch.Tensor]]":
    """Each sample's tokens by point, on the device."""
    points = [point for point in batch.shard.points if point not in (PIXELS, LABELS)]
    if not batch.positions or not points:
        return {}
    return halving.forward(batch.pixels, batch.texts, batch.times, batch.model_inputs, points)


def check_share_of_bad(cache: Cache, allowed: float) -> None:
    """Raises `DatasetError` where more than this share of the samples is quarantined."""
    bad = [row for row in cache.rows if row["status"] == "bad"]
    if len(bad) > allowed * len(cache):
        share = f"{len(bad)} of {len(cache)} samples of {cache.path}"
        told = f"{share} could not be used, the first because {bad[0]['reason']}"
        if len(bad) == len(cache):  # to accept them all would be to accept an empty cache
            raise DatasetError(f"{told}; none is extracted; see 'foresight inspect --bad'")
        raise DatasetError(
            f"{told}; the others are extracted; see 'foresight inspect --bad', "
            f"or accept them with --max-bad {len(bad) / len(cache):.2g}"
        )
