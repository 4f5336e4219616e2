"""The loop of an extraction: shards in, one forward pass per batch, shards of a cache out."""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from foresight_cache.encoders import Encoder
from foresight_cache.errors import DatasetError, Interrupted
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.feature_checks import extremes
from foresight_cache.extraction.host_copies import HostCopies
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.out_of_memory import Forward, Halving
from foresight_cache.extraction.prepared_batches import PreparedBatch, prepare_batch, raw_batches
from foresight_cache.extraction.recording import ShardRecorder
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
    plan.check_free_space()
    halving = Halving(plan.inputs, forward or encoder.forward)
    times = times or StageTimes()
    workers = options.execution.workers
    numbers = share.order(range(len(plan.wanted.shards)))
    with deferred_interrupts() as check, CacheWriter(plan.store, plan.wanted, plan.merged) as cache:
        while True:
            work = raw_batches(plan, cache.pending(plan.names, numbers))
            prepare = partial(prepare_batch, inputs=plan.inputs, with_text=plan.inputs.runs_text(options.points))
            with (
                closing(prefetch(work, prepare, threads=workers)) as ready,
                closing(ShardRecorder(cache, plan.inputs, workers, advance)) as recorder,
                BackgroundWorker(waiting=1) as behind,
            ):
                found = _computed(times.waiting("input", ready), halving, recorder, behind, times, check)
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
