"""What each codec saves and what it costs: bytes of every layer, extraction, reads beside a memmap, epochs of a probe.

Without a model and samples of one's own it takes DINOv2-small's shape with random weights, and synthetic scenes, whose
features are compressed a little otherwise than those of a trained model on photographs.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from foresight_cache.cached_point import CachedPoint
from foresight_cache.encoders import Encoder, LoadOptions, load
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.format.codec_choice import CodecChoice
from foresight_cache.format.codecs import CODECS, CodecName
from foresight_cache.points import PIXELS, resolve
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare_dataset import prepare
from foresight_cache.preparation.selection import SampleSelection
from foresight_cache.reader import Cache, open_cache
from foresight_cache.shards import ShardSet, open_shards
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.training.bank import Bank
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.trainer import fit
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure, medians

TAKES_GIVEN = True
_SIDE = 448
_LIMITS = {"lz4": "<= 0.8", "zstd": "<= 0.8", "small": "<= 0.7"}
"""Bytes stored for each raw one that are aimed at, in the median over the layers."""
_BATCH = 16
"""Samples whose numbers are copied next to each other before their memory is used again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    folder: Path
    encoder: Encoder
    shards: ShardSet
    repeats: int

    @property
    def layers(self) -> list[str]:
        """Points of the vision tower."""
        return [tap.name for tap in self.encoder.taps if tap.name.startswith("vit.")]

    @property
    def middle(self) -> str:
        """The point that is read."""
        return self.layers[len(self.layers) // 2]

    def cache(self, codec: CodecName) -> Path:
        return self.folder / codec

    def extract(self, codec: CodecName) -> None:
        """Extracts all layers anew."""
        shutil.rmtree(self.cache(codec), ignore_errors=True)
        options = ExtractionOptions(
            points=resolve(self.layers, self.layers),
            inputs=InputSpec(size=InputSize((_SIDE, _SIDE))),
            execution=Execution(codec=CodecChoice(usual=codec)),
        )
        extract(self.shards, self.encoder, options, self.cache(codec))


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:
    """Writes four caches of the same features (1.2 GB with 32 scenes; 450 MB if quick) and reads them."""
    shards = given.shards or _scenes(folder / "shards", 12 if quick else 32)
    model = given.model or f"random:{_small_dinov2(folder / 'model')}"
    encoder = load(model, LoadOptions(dtype="bfloat16"))
    bench = _Bench(folder=folder, encoder=encoder, shards=open_shards(shards), repeats=1 if quick else 3)
    figures = list(_extraction(bench))  # first, as it makes the caches
    return [*_sizes(bench), *figures, *_reads(bench), *_epochs(bench)]


def _scenes(folder: Path, count: int) -> Path:
    prepare("shapes", folder, PreparationOptions(selection=SampleSelection(limit=count)))
    return folder


def _small_dinov2(folder: Path) -> Path:
    make("Dinov2Config", hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14).save_pretrained(folder)
    make("BitImageProcessor", do_convert_rgb=True).save_pretrained(folder)
    return folder


def _sizes(bench: _Bench) -> Iterator[Figure]:
    """Yields each codec's bytes to raw ones in the median over the layers, then those of every layer."""
    caches = {codec: open_cache(bench.cache(codec)) for codec in CODECS[1:]}
    ratios = {
        codec: {name: float(np.divide(*cache.sizes(name))) for name in cache.arrays} for codec, cache in caches.items()
    }
    for codec, of_points in ratios.items():
        layers = [of_points[name] for name in bench.layers]
        detail = f"{min(layers):.3f} to {max(layers):.3f}, pixels {of_points[PIXELS]:.3f}"
        name = f"bytes of {codec} to raw ones, median over {len(layers)} layers"
        yield Figure(name=name, value=median(layers), target=_LIMITS[codec], detail=detail)
    for name in bench.layers:
        detail = ", ".join(f"{codec} {of_points[name]:.3f}" for codec, of_points in ratios.items())
        yield Figure(name=f"least bytes of {name} to raw ones", value=_least(ratios, name), target="", detail=detail)


def _least(ratios: dict[CodecName, dict[str, float]], name: str) -> float:
    return min(of_points[name] for of_points in ratios.values())


def _extraction(bench: _Bench) -> Iterator[Figure]:
    """Measures whole extractions of all layers, which wait for the disk."""
    plain, *others = medians([partial(bench.extract, codec) for codec in CODECS], bench.repeats)
    for codec, seconds in zip(CODECS[1:], others, strict=True):
        name = f"time of extract with {codec} to that without a codec"
        yield Figure(name=name, value=seconds / plain, target="", detail=f"{seconds:.1f} s to {plain:.1f} s")


def _reads(bench: _Bench) -> Iterator[Figure]:
    """Measures reading one layer, each sample into memory that is used again, in one thread beside a memmap."""
    points = {codec: open_cache(bench.cache(codec))[bench.middle] for codec in CODECS}
    raw = bench.folder / "raw"
    size = _write_raw(points["none"], raw)
    batch = np.ones((_BATCH, *points["none"].shape[1:]), points["none"].dtype)  # of memory that was touched
    work: list[Callable[[], object]] = [partial(_scan, raw, batch.view(np.uint16))]
    work += [partial(_read, point, batch, check) for point in points.values() for check in (False, True)]
    for state, before in (("warm", lambda: None), ("cold", partial(_forget, bench.folder))):
        bare, *others = medians(work, 3 * bench.repeats, before)
        told = [(codec, kind) for codec in CODECS for kind in ("read again", "read first and verified")]
        for (codec, kind), seconds in zip(told, others, strict=True):
            detail = f"{size / seconds / 1e9:.2f} GB/s to {size / bare / 1e9:.2f} GB/s"
            name = f"rate of reading {codec} to a memmap of raw bytes, {state}, {kind}"
            yield Figure(name=name, value=bare / seconds, target="", detail=detail)


def _write_raw(point: CachedPoint, path: Path) -> int:
    """Writes all samples one after another, and returns their bytes."""
    with path.open("wb") as file:
        for sample in range(len(point)):
            file.write(point.stored(sample).tobytes())
        os.fsync(file.fileno())
        return file.tell()


def _scan(path: Path, batch: np.ndarray) -> None:
    """Copies every sample out of a memory map."""
    mapped = np.memmap(path, np.uint16, "r").reshape(-1, *batch.shape[1:])
    for number, sample in enumerate(mapped):
        np.copyto(batch[number % _BATCH], sample)


def _read(point: CachedPoint, batch: np.ndarray, check: bool) -> None:
    for number in range(len(point)):
        point.stored_into(number, batch[number % _BATCH], check=check)


def _forget(folder: Path) -> None:
    """Lets the system drop from its page cache all that lies below a folder, which is on the disk already."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _epochs(bench: _Bench) -> Iterator[Figure]:
    """Measures an epoch over one layer: the batches alone, and the training of a linear head that draws edges."""
    caches = [open_cache(bench.cache(codec)) for codec in CODECS]
    options = TrainingOptions(batch_size=_BATCH, resident="none", epochs=1, device="cpu")
    split = _every_sample(caches[0])
    streamed = [_standardized(cache, bench.middle, split, options) for cache in caches]
    batches: list[Callable[[], object]] = [partial(_drain, data) for data in streamed]
    training: list[Callable[[], object]] = [partial(_train, cache, bench.middle, options) for cache in caches]
    for what, work in (("batches of an epoch", batches), ("first pass and an epoch of a linear head", training)):
        for state, before in (("page cache", lambda: None), ("disk", partial(_forget, bench.folder))):
            plain, *others = medians(work, bench.repeats, before)
            for codec, seconds in zip(CODECS[1:], others, strict=True):
                name = f"time of {what} with {codec} to that without a codec, from the {state}"
                yield Figure(name=name, value=seconds / plain, target="", detail=f"{seconds:.2f} s to {plain:.2f} s")


def _every_sample(cache: Cache) -> Split:
    split = load_targets(cache, (), TrainingOptions()).split
    return replace(split, train=(*split.train, *split.validation, *split.test))


def _standardized(cache: Cache, point: str, split: Split, options: TrainingOptions) -> FeatureData:
    """Returns data whose first pass is over."""
    data = FeatureData(open_source(cache, point), split, {}, options)
    data.standardization()
    return data


def _drain(data: FeatureData) -> None:
    for _ in data.train_dataloader():
        pass


def _train(cache: Cache, point: str, options: TrainingOptions) -> None:
    loaded = load_targets(cache, ("edges",), options)
    data = FeatureData(open_source(cache, point), loaded.split, loaded.targets, options)
    runs: Sequence[RunSpec] = [RunSpec("edges", "token-linear", 0)]
    fit(Bank(runs, loaded.tasks, data.standardization(), options, grid=data.grid), data)
