"""Stage 1, the loop: shards in, one forward pass per batch, shards of a cache out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from foresight_cache.commits import SampleRow
from foresight_cache.encoders import Encoder, Tap
from foresight_cache.errors import BadSample, DatasetError, UnknownName, UsageError
from foresight_cache.geometry import FITS, Fit
from foresight_cache.guards import DuplicateGuard, check_features
from foresight_cache.halving import Halving
from foresight_cache.inputs import ClipsAs, InputRule
from foresight_cache.interruption import deferred_interrupts
from foresight_cache.layout import NUMPY_DTYPES, CacheLayout, PointLayout, ShardSource
from foresight_cache.points import LABELS, PIXELS, Point
from foresight_cache.prefetch import prefetch
from foresight_cache.progress import Advance, silent
from foresight_cache.prompts import asked
from foresight_cache.reader import Cache
from foresight_cache.samples import Media, Sample
from foresight_cache.sampling import Sampling
from foresight_cache.shards import ShardSet, read_shard
from foresight_cache.sizes import InputSize
from foresight_cache.space import check_room
from foresight_cache.writer import CacheWriter, PendingShard, ShardWriter, joined

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("torch", "torchvision", "transformers", "pillow")
"""What computes; clips are decoded by one more."""


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
    """Frames that are taken of a clip; with `frames_per_second`, at most."""
    frames_per_second: float | None = None
    """Frames that are taken of each second of a clip; None takes `frames` of any clip."""
    clips_as: ClipsAs = "video"
    """Whether the model is given a clip as a clip, or its frames as images."""
    batch_tokens: int = 2048
    """Most patch tokens in one forward pass."""
    workers: int = 2
    """Threads that decode and preprocess ahead of the model."""

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "workers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.clips_as not in get_args(ClipsAs):
            raise UnknownName("way to take clips", self.clips_as, get_args(ClipsAs))
        if self.fit not in FITS:
            raise UsageError(f"--fit is {self.fit!r}, expected {' or '.join(FITS)}")
        _ = self.inputs
        pooled = [str(point) for point in self.points if point.readout != "tokens"]
        if pooled and self.clips_as == "images":
            raise UsageError(f"{', '.join(pooled)}: a clip whose frames are images of their own has tokens only")

    @property
    def with_text(self) -> bool:
        """Whether the prompt is run to its end, and not only to the last visual token."""
        return any(point.readout == "last_query" for point in self.points)

    @property
    def inputs(self) -> InputRule:
        """Raises `UsageError`."""
        sampling = Sampling(frames=self.frames, per_second=self.frames_per_second)
        return InputRule(size=self.size, fit=self.fit, sampling=sampling, clips_as=self.clips_as)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Samples of one shard that go through the model together."""

    shard: PendingShard
    positions: Sequence[int]
    samples: Sequence[Sample]
    members: Sequence[Mapping[str, bytes]]
    is_last: bool
    """Whether it is the shard's last batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """A batch whose inputs are ready; samples that could not be decoded have left it."""

    shard: PendingShard
    positions: Sequence[int]
    samples: Sequence[Sample]
    pixels: Sequence[np.ndarray]
    texts: Sequence[str] | None
    """The user's words to each sample, where they are run."""
    media: Media
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
    check_room(out, shards, encoder, options.inputs, joined(out, planned), names)
    halving = Halving(encoder, options.inputs)
    with deferred_interrupts() as check, CacheWriter(out, planned) as cache, ThreadPoolExecutor(1) as background:
        while True:
            work = _work(shards, encoder, options, cache.pending(names))
            prepare = partial(_prepare, encoder=encoder, options=options)
            with closing(prefetch(work, prepare, threads=options.workers)) as ready:
                for first in ready:
                    with cache.shard(first.shard) as shard:
                        batches_of_shard = _batches_of_shard(first, ready, check)
                        rows = _fill(shard, batches_of_shard, encoder, options, halving, background)
                        shard.commit(rows, halved=halving.told())
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
    shard: ShardWriter,
    prepared: Iterable[_Prepared],
    encoder: Encoder,
    options: ExtractionOptions,
    halving: Halving,
    background: ThreadPoolExecutor,
) -> list[SampleRow]:
    """Writes all batches of a shard, each while the next one is computed; returns its rows in order."""
    rows: dict[int, SampleRow] = {}
    duplicates = DuplicateGuard()
    writing: Future[None] = background.submit(lambda: None)
    try:
        for batch in prepared:
            features = _forward(batch, halving)
            writing.result()
            writing = background.submit(_write, shard, batch, features, duplicates)
            rows |= dict(batch.bad) | dict(zip(batch.positions, _rows(batch, encoder, options.inputs), strict=True))
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
    """The layout and fingerprint of the cache that these arguments make.

    Raises `UsageError` for a size or a kind of media that is not possible and a readout that a tap cannot have.
    """
    encoder.check(options.points)
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


def _point_layout(point: Point, tap: Tap, encoder: Encoder, rule: InputRule, media: Media) -> PointLayout:
    if point.readout != "tokens":
        return PointLayout.fixed("pooled", encoder.options.dtype, 1, tap.width)
    return rule.point_layout(encoder, tap.level, encoder.options.dtype, tap.width, media)


def _work(
    shards: ShardSet, encoder: Encoder, options: ExtractionOptions, pending: Iterator[PendingShard]
) -> Iterator[_Batch]:
    """All batches of all pending shards, in order. A shard has samples, so it has a batch."""
    for shard in pending:
        content = list(read_shard(shards, shard.number))
        planned = options.inputs.batches(encoder, [sample for sample, _ in content], options.batch_tokens)
        for positions in planned:
            samples, members = zip(*(content[position] for position in positions), strict=True)
            is_last = positions is planned[-1]
            yield _Batch(shard=shard, positions=positions, samples=samples, members=members, is_last=is_last)


def _prepare(batch: _Batch, encoder: Encoder, options: ExtractionOptions) -> _Prepared:
    """Decoded, resized and preprocessed; runs in a thread."""
    rule, media = options.inputs, batch.samples[0].media
    good: list[tuple[int, Sample, np.ndarray, np.ndarray | None, str]] = []
    bad: list[tuple[int, SampleRow]] = []
    for position, sample, members in zip(batch.positions, batch.samples, batch.members, strict=True):
        try:
            text = asked(encoder.options.prompt, sample.annotations) if options.with_text else ""
            labels = rule.labels(encoder, sample, members) if LABELS in batch.shard.points else None
            good.append((position, sample, rule.pixels(encoder, sample, members), labels, text))
        except BadSample as error:
            row = SampleRow(sample=sample, status="bad", reason=str(error), grids={})
            bad.append((position, row))
    pixels = [pixels for _, _, pixels, *_ in good]
    texts = [text for *_, text in good] if options.with_text else None
    return _Prepared(
        shard=batch.shard,
        positions=[position for position, *_ in good],
        samples=[sample for _, sample, *_ in good],
        pixels=pixels,
        labels=[labels for *_, labels, _ in good],
        texts=texts,
        media=media,
        inputs=rule.preprocess(encoder, pixels, media, texts),
        bad=bad,
        is_last=batch.is_last,
    )


def _forward(batch: _Prepared, halving: Halving) -> dict[str, list[np.ndarray]]:
    """Per point the stored numbers of each sample, on the host."""
    points = [point for point in batch.shard.points if point not in (PIXELS, LABELS)]
    if not batch.positions or not points:
        return {}
    features = halving.forward(batch.pixels, batch.media, batch.texts, batch.inputs, points)
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
        # A prompt ends alike for all images, and so may their last patches.
        duplicates.check(sample.id, pixels, {point: values for point, values in tokens.items() if "@last" not in point})
        if PIXELS in batch.shard.points:
            tokens[PIXELS] = pixels.reshape(-1, 3)
        if labels is not None:
            tokens[LABELS] = labels
        for point, values in tokens.items():
            shard.add(position, point, values)


def _rows(batch: _Prepared, encoder: Encoder, rule: InputRule) -> Iterator[SampleRow]:
    for sample in batch.samples:
        frames = tuple(rule.sampling.indices(sample))
        yield SampleRow(sample=sample, status="ok", reason=None, grids=rule.grids(encoder, sample), frames=frames)
