"""Stage 1, the loop: shards in, one forward pass per batch, shards of a cache out."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.encoders import Encoder, Tap
from foresight_cache.errors import DatasetError
from foresight_cache.extraction.feature_checks import extremes
from foresight_cache.extraction.host_copies import HostCopies
from foresight_cache.extraction.inputs import InputSpec
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.extraction.out_of_memory import Halving
from foresight_cache.extraction.prepared_batches import PreparedBatch, prepare_batch, raw_batches
from foresight_cache.extraction.recording import ShardRecorder
from foresight_cache.extraction.size_estimate import check_free_space
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.format.merging import merged_layout
from foresight_cache.points import LABELS, PIXELS, Point
from foresight_cache.reader import Cache
from foresight_cache.runtime.interruption import deferred_interrupts
from foresight_cache.runtime.pipelining import WriteBehind, prefetch
from foresight_cache.runtime.progress import Advance, StageTimes, silent
from foresight_cache.samples import Media
from foresight_cache.shards import ShardSet
from foresight_cache.writer import CacheWriter

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("torch", "torchvision", "transformers", "pillow")
"""What computes; clips are decoded by one more."""


def extract(
    shards: ShardSet,
    encoder: Encoder,
    options: ExtractionOptions,
    out: Path,
    advance: Advance = silent,
    times: StageTimes | None = None,
) -> None:
    """Writes what the cache at `out` lacks; a second run goes on where the first one stopped.

    Any number of processes may do so at once: they share the shards, and each returns when all are there.
    `times` counts where the loop around the model spends its time. Quarantined samples are recorded and counted, see
    `open_cache(out).samples`. Raises `CacheError` for a foreign cache or a disk without room for what is missing,
    `ShardError` for a damaged tar and `FeatureError` for values that no cache should hold. SIGINT and SIGTERM end it
    with `KeyboardInterrupt` after the current batch.
    """
    names = array_names(shards, options)
    planned = plan_cache(shards, encoder, options)
    check_free_space(
        out, shards, encoder, options.inputs, replace(merged_layout(out, planned), shards=planned.shards), names
    )
    rows_of = partial(_rows, encoder=encoder, rule=options.inputs)
    halving = Halving(encoder, options.inputs)
    times = times or StageTimes()
    with deferred_interrupts() as check, CacheWriter(out, planned) as cache:
        while True:
            work = raw_batches(shards, encoder, options, cache.pending(names))
            prepare = partial(prepare_batch, encoder=encoder, options=options)
            with (
                closing(prefetch(work, prepare, threads=options.workers)) as ready,
                closing(ShardRecorder(cache, rows_of, options.workers, advance)) as recorder,
                WriteBehind(waiting=1) as behind,
            ):
                _computed(times.waiting("input", ready), halving, recorder, behind, times, check)
            check()
            if not cache.wait_for_others(names):
                return


def _computed(
    batches: Iterable[PreparedBatch],
    halving: Halving,
    recorder: ShardRecorder,
    behind: WriteBehind,
    times: StageTimes,
    check: Callable[[], None],
) -> None:
    """All batches through the model; each is written while the next one is computed. Calls `check` between them."""
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


def _features(batch: PreparedBatch, halving: Halving) -> "dict[str, list[torch.Tensor]]":
    """Per point each sample's tokens, on the device."""
    points = [point for point in batch.shard.points if point not in (PIXELS, LABELS)]
    if not batch.positions or not points:
        return {}
    return halving.forward(batch.pixels, batch.media, batch.texts, batch.inputs, points)


def check_share_of_bad(cache: Cache, allowed: float) -> None:
    """Raises `DatasetError` where more than this share of the samples is quarantined."""
    bad = [row for row in cache.rows if row["status"] == "bad"]
    if len(bad) > allowed * len(cache):
        raise DatasetError(
            f"{len(bad)} of {len(cache)} samples of {cache.path} could not be used, the first because "
            f"{bad[0]['reason']}; the others are extracted; see 'foresight inspect --bad', "
            f"or accept them with --max-bad {len(bad) / len(cache):.2g}"
        )


def array_names(shards: ShardSet, options: ExtractionOptions) -> tuple[str, ...]:
    """All that the cache will hold for these options: the points, labels where the dataset has them, the pixels."""
    labels = (LABELS,) if has_labels(shards) else ()
    return (*(str(point) for point in options.points), *labels, PIXELS)


def has_labels(shards: ShardSet) -> bool:
    """Whether the dataset's manifest promises dense labels."""
    return "labels" in shards.manifest.get("annotations", ())


def plan_cache(shards: ShardSet, encoder: Encoder, options: ExtractionOptions) -> CacheLayout:
    """The layout and fingerprint of the cache that these arguments make.

    Raises `UsageError` for a size or a kind of media that is not possible and a readout that a tap cannot have.
    """
    encoder.check_points(options.points)
    rule, media = options.inputs, shards.media
    rule.check_media(encoder, media)
    taps = {tap.name: tap for tap in encoder.taps}
    points = {str(point): _point_layout(point, taps[point.tap], encoder, rule, media) for point in options.points}
    labels = {LABELS: rule.point_layout(encoder, "pixel", "uint8", 1, media)} if has_labels(shards) else {}
    return CacheLayout(
        fingerprint=fingerprint_of(encoder, options, shards.dataset, shards.manifest_digest, media),
        samples_per_shard=shards.samples_per_shard,
        shards=tuple(
            ShardSource(name=shard.name, sha256=shard.sha256, samples=len(shard.ids)) for shard in shards.shards
        ),
        points={**points, **labels, PIXELS: rule.point_layout(encoder, "pixel", "uint8", 3, media)},
    )


def fingerprint_of(
    encoder: Encoder, options: ExtractionOptions, dataset: str, manifest_sha256: str, media: Media
) -> dict[str, dict[str, Any]]:
    """All that decides the numbers in a cache, but for the tars; each field is explained in `docs/cache_format.md`."""
    return {
        "model": {**encoder.identity(), "taps": [tap.name for tap in encoder.taps]},
        "dataset": {"name": dataset, "manifest_sha256": manifest_sha256},
        "input": options.inputs.to_json(media),
        "execution": {"batch_tokens": options.batch_tokens, "device": encoder.device.type},
        "libraries": {name: version(name) for name in (*_LIBRARIES, *(("av",) if media == "clip" else ()))},
    }


def _point_layout(point: Point, tap: Tap, encoder: Encoder, rule: InputSpec, media: Media) -> PointLayout:
    if point.readout != "tokens":
        return PointLayout.fixed("pooled", encoder.options.dtype, 1, tap.width)
    return rule.point_layout(encoder, tap.level, encoder.options.dtype, tap.width, media)


def _rows(batch: PreparedBatch, encoder: Encoder, rule: InputSpec) -> Iterator[SampleRow]:
    for sample in batch.samples:
        frames = tuple(rule.sampling.indices(sample))
        yield SampleRow(sample=sample, status="ok", reason=None, grids=rule.grids(encoder, sample), frames=frames)
