"""Stage 1, the loop: shards in, one forward pass per batch, shards of a cache out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foresight_cache.batching import batches
from foresight_cache.commits import SampleRow
from foresight_cache.encoders import Encoder, Tap
from foresight_cache.errors import BadSample, DatasetError, UsageError
from foresight_cache.geometry import FITS, Fit, Placement, place
from foresight_cache.guards import DuplicateGuard, check_features
from foresight_cache.interruption import deferred_interrupts
from foresight_cache.layout import NUMPY_DTYPES, CacheLayout, PointLayout, ShardSource
from foresight_cache.media import decode_image, decode_labels, fit_image, fit_labels
from foresight_cache.members import frames_of, labels_of
from foresight_cache.packing import check_labels
from foresight_cache.points import LABELS, PIXELS, Point
from foresight_cache.prefetch import prefetch
from foresight_cache.progress import Advance, silent
from foresight_cache.reader import Cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.shards import Members, ShardSet, read_shard
from foresight_cache.sizes import InputSize
from foresight_cache.space import check_room
from foresight_cache.writer import CacheWriter, PendingShard, ShardWriter, joined

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractionOptions:
    """How inputs are made and batched; part of a cache's fingerprint, but for `workers`."""

    points: tuple[Point, ...]
    """What to keep besides the pixels."""
    size: InputSize
    """Size that images are resized to."""
    fit: Fit = "stretch"
    """Whether an input fills that size, or keeps its proportions and is bordered."""
    frames: int = 8
    """Frames that are sampled from a clip."""
    batch_tokens: int = 2048
    """Most patch tokens in one forward pass."""
    workers: int = 2
    """Threads that decode and preprocess ahead of the model."""

    def __post_init__(self) -> None:
        for name in ("frames", "batch_tokens", "workers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.fit not in FITS:
            raise UsageError(f"--fit is {self.fit!r}, expected {' or '.join(FITS)}")
        other = [str(point) for point in self.points if point.readout != "tokens"]
        if other:
            raise UsageError(f"readout of {', '.join(other)} is not available yet; only all tokens are: drop the '@…'")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Samples of one shard that go through the model together."""

    shard: PendingShard
    positions: Sequence[int]
    samples: Sequence[Sample]
    members: Sequence[Members]
    is_last: bool
    """Whether it is the shard's last batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """A batch whose inputs are ready; samples that could not be decoded have left it."""

    shard: PendingShard
    positions: Sequence[int]
    samples: Sequence[Sample]
    pixels: Sequence[np.ndarray]
    labels: Sequence[np.ndarray | None]
    """Dense labels of each sample's pixels, uint8 [N, 1]; None where it has none."""
    inputs: "Mapping[str, torch.Tensor]"
    bad: Sequence[tuple[int, SampleRow]]
    is_last: bool


def extract(
    shards: ShardSet, encoder: Encoder, options: ExtractionOptions, out: Path, advance: Advance = silent
) -> None:
    """Writes what the cache at `out` lacks; a second run goes on where the first one stopped.

    Any number of processes may do so at once: they share the shards, and each returns when all are there.
    Quarantined samples are recorded and counted, see `open_cache(out).samples`. Raises `CacheError` for a
    foreign cache or a disk without room for what is missing, `ShardError` for a damaged tar and `FeatureError` for
    values that no cache should hold. SIGINT and SIGTERM end it with `KeyboardInterrupt` after the current batch.
    """
    names = array_names(shards, options)
    planned = plan_cache(shards, encoder, options)
    check_room(out, shards, encoder, options.size, joined(out, planned), names)
    with deferred_interrupts() as check, CacheWriter(out, planned) as cache, ThreadPoolExecutor(1) as background:
        while True:
            work = _work(shards, encoder, options, cache.pending(names))
            prepare = partial(_prepare, encoder=encoder, options=options)
            with closing(prefetch(work, prepare, threads=options.workers)) as ready:
                for first in ready:
                    with cache.shard(first.shard) as shard:
                        batches_of_shard = _batches_of_shard(first, ready, check)
                        rows = _fill(shard, batches_of_shard, encoder, background)
                        shard.commit(rows)
                    advance(len(rows), shard.size)
            check()
            if not cache.wait_for_others(names):
                return


def _batches_of_shard(
    first: _Prepared, following: Iterator[_Prepared], check: Callable[[], None]
) -> Iterator[_Prepared]:
    """Stops at a shard's last batch, not at the next shard's first: what is whole need not wait for more.

    Calls `check` before each.
    """
    check()
    batch = first
    while not batch.is_last:
        yield batch
        check()
        batch = next(following)
    yield batch


def _fill(
    shard: ShardWriter, prepared: Iterable[_Prepared], encoder: Encoder, background: ThreadPoolExecutor
) -> list[SampleRow]:
    """Writes all batches of a shard, each while the next one is computed; returns its rows in order."""
    rows: dict[int, SampleRow] = {}
    duplicates = DuplicateGuard()
    writing: Future[None] = background.submit(lambda: None)
    try:
        for batch in prepared:
            features = _forward(batch, encoder)
            writing.result()
            writing = background.submit(_write, shard, batch, features, duplicates)
            rows |= dict(batch.bad) | dict(zip(batch.positions, _rows(batch, encoder), strict=True))
        writing.result()
    finally:
        wait([writing])
    return [rows[position] for position in sorted(rows)]


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
    """The layout and fingerprint of the cache that these arguments make. Raises `UsageError` for a wrong size."""
    taps = {tap.name: tap for tap in encoder.taps}
    points = {str(point): _point_layout(taps[point.tap], encoder, options) for point in options.points}
    labels = {LABELS: _pixel_layout(encoder, options, 1)} if has_labels(shards) else {}
    return CacheLayout(
        fingerprint=fingerprint_of(encoder, options, dataset=shards.dataset, manifest_sha256=shards.manifest_digest),
        samples_per_shard=shards.samples_per_shard,
        shards=tuple(
            ShardSource(name=shard.name, sha256=shard.sha256, samples=len(shard.ids)) for shard in shards.shards
        ),
        points={**points, **labels, PIXELS: _pixel_layout(encoder, options, 3)},
    )


def fingerprint_of(
    encoder: Encoder, options: ExtractionOptions, *, dataset: str, manifest_sha256: str
) -> dict[str, dict[str, Any]]:
    """All that decides the numbers in a cache, but for the tars; each field is explained in `docs/cache_format.md`."""
    return {
        "model": {**encoder.identity(), "taps": [tap.name for tap in encoder.taps]},
        "dataset": {"name": dataset, "manifest_sha256": manifest_sha256},
        "input": {
            "size": str(options.size),
            "fit": options.fit,
            "resize": "bicubic, antialiased",
            "frames": options.frames,
        },
        "execution": {"batch_tokens": options.batch_tokens, "device": encoder.device.type},
        "libraries": {name: version(name) for name in ("torch", "torchvision", "transformers", "pillow")},
    }


def _point_layout(tap: Tap, encoder: Encoder, options: ExtractionOptions) -> PointLayout:
    dtype = encoder.options.dtype
    if options.size.fixed:
        tokens = encoder.grid(tap.level, 1, *options.size.fixed).tokens
        return PointLayout.fixed(tap.level, dtype, tokens, tap.width)
    return PointLayout.ragged(tap.level, dtype, encoder.max_tokens(tap.level, 1), tap.width)


def _pixel_layout(encoder: Encoder, options: ExtractionOptions, width: int) -> PointLayout:
    if options.size.fixed:
        return PointLayout.fixed("pixel", "uint8", options.size.fixed[0] * options.size.fixed[1], width)
    return PointLayout.ragged("pixel", "uint8", encoder.max_pixels, width)


def _work(
    shards: ShardSet, encoder: Encoder, options: ExtractionOptions, pending: Iterator[PendingShard]
) -> Iterator[_Batch]:
    """All batches of all pending shards, in order. A shard has samples, so it has a batch."""
    for shard in pending:
        content = list(read_shard(shards, shard.number))
        sizes = [options.size.of(encoder, sample.height, sample.width) for sample, _ in content]
        tokens = [encoder.grid("patch", 1, *size).tokens for size in sizes]
        planned = batches(sizes, tokens, options.batch_tokens)
        for positions in planned:
            samples, members = zip(*(content[position] for position in positions), strict=True)
            is_last = positions is planned[-1]
            yield _Batch(shard=shard, positions=positions, samples=samples, members=members, is_last=is_last)


def _prepare(batch: _Batch, encoder: Encoder, options: ExtractionOptions) -> _Prepared:
    """Decoded, resized and preprocessed; runs in a thread."""
    good: list[tuple[int, Sample, np.ndarray, np.ndarray | None]] = []
    bad: list[tuple[int, SampleRow]] = []
    for position, sample, members in zip(batch.positions, batch.samples, batch.members, strict=True):
        try:
            size = options.size.of(encoder, sample.height, sample.width)
            placement = place((sample.height, sample.width), size, options.fit)
            labels = _input_labels(sample, members, placement) if LABELS in batch.shard.points else None
            good.append((position, sample, _input(sample, members, placement), labels))
        except BadSample as error:
            bad.append((position, SampleRow(sample=sample, status="bad", reason=str(error), grids={})))
    pixels = [pixels for _, _, pixels, _ in good]
    return _Prepared(
        shard=batch.shard,
        positions=[position for position, *_ in good],
        samples=[sample for _, sample, *_ in good],
        pixels=pixels,
        labels=[labels for *_, labels in good],
        inputs=encoder.preprocess(pixels, "image") if pixels else {},
        bad=bad,
        is_last=batch.is_last,
    )


def _input(sample: Sample, members: Members, placement: Placement) -> np.ndarray:
    """Resized pixels, uint8 [T, H, W, 3]. Raises `BadSample`."""
    if sample.media != "image":
        raise BadSample(f"{sample.media}s cannot be decoded yet")
    image = decode_image(frames_of(members)[0])
    if image.shape[:2] != (sample.height, sample.width):
        raise BadSample(
            f"the image is {image.shape[1]}x{image.shape[0]} pixels, its record says {sample.width}x{sample.height}"
        )
    return fit_image(image, placement)[np.newaxis]


def _input_labels(sample: Sample, members: Members, placement: Placement) -> np.ndarray:
    """Labels of the resized pixels, uint8 [N, 1]. Raises `BadSample`."""
    encoded = labels_of(members)
    if not encoded:
        raise BadSample("it has no dense labels, which its dataset promises")
    labels = decode_labels(encoded[0])
    check_labels(labels, sample)
    if labels.shape != (sample.height, sample.width):
        raise BadSample(
            f"its labels are {labels.shape[1]}x{labels.shape[0]} pixels, not {sample.width}x{sample.height}"
        )
    return fit_labels(labels, placement, sample.annotations["labels"]["ignore"] or 0).reshape(-1, 1)


def _forward(batch: _Prepared, encoder: Encoder) -> dict[str, list[np.ndarray]]:
    """Per point the stored numbers of each sample, on the host."""
    points = [point for point in batch.shard.points if point not in (PIXELS, LABELS)]
    if not batch.positions or not points:
        return {}
    features = encoder.forward(batch.inputs, points)
    check_features(features, [sample.id for sample in batch.samples])
    return {point: [_to_host(tokens) for tokens in samples] for point, samples in features.items()}


def _to_host(tokens: "torch.Tensor") -> np.ndarray:
    import torch

    if tokens.dtype == torch.bfloat16:
        return tokens.cpu().view(torch.int16).numpy().view(NUMPY_DTYPES["bfloat16"])
    return tokens.cpu().numpy()


def _write(
    shard: ShardWriter, batch: _Prepared, features: Mapping[str, Sequence[np.ndarray]], duplicates: DuplicateGuard
) -> None:
    content = zip(batch.positions, batch.samples, batch.pixels, batch.labels, strict=True)
    for number, (position, sample, pixels, labels) in enumerate(content):
        tokens = {point: samples[number] for point, samples in features.items()}
        duplicates.check(sample.id, pixels, tokens)
        if PIXELS in batch.shard.points:
            tokens[PIXELS] = pixels.reshape(-1, 3)
        if labels is not None:
            tokens[LABELS] = labels
        for point, values in tokens.items():
            shard.add(position, point, values)


def _rows(batch: _Prepared, encoder: Encoder) -> Iterator[SampleRow]:
    for sample, pixels in zip(batch.samples, batch.pixels, strict=True):
        frames, height, width = pixels.shape[:3]
        grids: dict[str, Grid] = {"pixel": Grid(frames, height, width)}
        for level in ("patch", "merged"):
            grids[level] = encoder.grid(level, frames, height, width)
        yield SampleRow(sample=sample, status="ok", reason=None, grids=grids)
