"""How much dearer forty probes are than one, and how near reading features comes to a bare scan of their bytes."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import ml_dtypes
import numpy as np

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource, object_key
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter
from foresight_probes.batches import Batch
from foresight_probes.features.batch_sampler import BatchLoader
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.sweeps.targets import load_targets
from foresight_probes.training.bank import Bank
from foresight_probes.training.run_spec import RunSpec
from foresight_probes.training.trainer import fit
from pipelines.bench.measuring.ratios import Figure, medians

POINT = "vit.block_01"
TASKS = ("speed", "relation", "action", "hallucination", "direction")
WAYS = ("left", "right", "up", "down")
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
DECAYS = (0.0, 1e-3, 1e-2, 1e-1)
SCAN_BATCH = 16
"""Samples whose bytes the bare scan copies next to each other before it begins again."""


def run(folder: Path, *, quick: bool) -> list[Figure]:
    """Writes a cache into an empty folder (1.3 GB; 230 MB if quick) and measures on it."""
    samples, side, width = (192, 24, 1024) if quick else (512, 32, 1280)
    cache = write_cache(folder / "cache", samples, Grid(1, side, side), width)
    repeats = 3
    options = TrainingOptions(epochs=10, batch_size=64, device="cpu", strengths=(1.0,))
    return [
        *_banks(cache, options, repeats),
        _sweeps(cache, options, repeats),
        *_reading(cache, options, repeats),
        _waiting(cache, replace(options, epochs=2, batch_size=16)),
    ]


def write_cache(folder: Path, samples: int, grid: Grid, width: int) -> Cache:
    """Writes noise with made-up annotations of every kind that the tasks need, 64 samples per shard."""
    per_shard = 64
    layout = CacheLayout(
        fingerprint={
            "model": {"name": "noise", "weights": "random", "dtype": "bfloat16", "taps": [POINT]},
            "dataset": {"name": "noise"},
            "input": {"size": "none"},
        },
        samples_per_shard=per_shard,
        shards=tuple(
            ShardSource(
                name=f"{first}.tar",
                sha256=hashlib.sha256(f"{first}".encode()).hexdigest(),
                samples=min(per_shard, samples - first),
            )
            for first in range(0, samples, per_shard)
        ),
        points={POINT: PointLayout.fixed("patch", "bfloat16", grid.tokens, width)},
    )
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(grid.tokens + 64, width)).astype(ml_dtypes.bfloat16)
    with CacheWriter(folder, layout) as writer:
        for pending in writer.pending((POINT,)):
            with writer.shard(pending) as shard:
                rows = []
                for position in range(layout.shards[pending.number].samples):
                    start = int(generator.integers(64))
                    shard.add(position, POINT, np.ascontiguousarray(noise[start : start + grid.tokens]))
                    sample = _sample(pending.number * per_shard + position, generator)
                    rows.append(SampleRow(sample=sample, status="ok", reason=None, grids={"patch": grid}))
                shard.commit(rows)
    return open_cache(folder)


def _sample(number: int, generator: np.random.Generator) -> Sample:
    corners = generator.uniform(0, 50, (2, 2))
    objects = [
        {"box": [*low.tolist(), *(low + generator.uniform(5, 50, 2)).tolist()], "category_id": number}
        for number, low in enumerate(corners)
    ]
    annotations = {
        "objects": objects,
        "action": {"class_id": int(generator.integers(20))},
        "motion": {"objects": [{"direction": str(generator.choice(WAYS)), "speed": float(generator.random())}]},
        "qa": {"hallucinated": bool(generator.integers(2))},
    }
    return Sample(
        id=f"noise/train/{number:06d}",
        dataset="noise",
        split="train",
        group=f"group-{number}",
        media="image",
        file_name=f"{number}.png",
        width=100,
        height=100,
        annotations=annotations,
    )


def _banks(cache: Cache, options: TrainingOptions, repeats: int) -> Iterator[Figure]:
    one = [RunSpec("relation", "pooled-linear", 0)]
    forty = [RunSpec(task, "pooled-linear", seed, rate) for task in TASKS for seed, rate in enumerate(RATES)]
    rates = np.geomspace(1e-4, 1, 13).tolist()
    grid = [RunSpec("action", "pooled-linear", 0, rate, decay) for rate in rates for decay in DECAYS]
    tokens = [RunSpec("patch-class", "token-linear", 0, rate) for rate in RATES]
    for name, runs, alone, target in (
        ("40 linear runs (8 step sizes × 5 tasks) to one", forty, one, "<= 2"),
        ("52 linear heads (13 step sizes × 4 weight decays) to one", grid, grid[:1], "<= 1.5"),
        ("8 linear heads on every token to one", tokens, tokens[:1], ""),
    ):
        chosen = replace(options, epochs=2) if runs is tokens else options
        single, many = medians([partial(_train, cache, part, chosen) for part in (alone, runs)], repeats)
        yield Figure(name=name, value=many / single, target=target, detail=f"{many:.2f} s to {single:.2f} s")


def _sweeps(cache: Cache, options: TrainingOptions, repeats: int) -> Figure:
    """Measures the forty as a user has them."""

    def run(tasks: Sequence[str], rates: Sequence[float]) -> None:
        sweep = Sweep(
            tasks=tuple(tasks),
            points=(POINT,),
            heads=("pooled-linear",),
            learning_rates=tuple(rates),
            options=options,
        )
        with TemporaryDirectory(dir=Path(cache.path).parent) as folder:
            train_sweep(plan_sweep(cache, sweep, Path(folder)))

    single, many = medians([partial(run, TASKS[1:2], RATES[:1]), partial(run, TASKS, RATES)], repeats)
    name = "train-probe with 40 linear runs to one, intervals, mean predictors and files of results included"
    return Figure(name=name, value=many / single, target="<= 2", detail=f"{many:.2f} s to {single:.2f} s")


def _train(cache: Cache, runs: Sequence[RunSpec], options: TrainingOptions) -> None:
    """Everything from the files to the scores of the test split."""
    loaded = load_targets(cache, [run.task for run in runs], options)
    per_token = runs[0].head == "token-linear"
    data = FeatureData(open_source(cache, POINT), loaded.split, loaded.targets, options, tokens=per_token)
    bank = Bank(runs, loaded.tasks, data.standardization(), options, grid=data.grid)
    fit(bank, data)


def _reading(cache: Cache, options: TrainingOptions, repeats: int) -> Iterator[Figure]:
    split = load_targets(cache, (), options).split
    every = replace(split, train=(*split.train, *split.validation, *split.test))
    chosen = replace(options, batch_size=SCAN_BATCH, resident="none")

    def data() -> FeatureData:
        return FeatureData(open_source(cache, POINT), every, {}, chosen)

    def read() -> None:
        for _ in surveyed.train_dataloader():
            pass

    surveyed = data()
    surveyed.standardization()
    bare, first, later = medians([lambda: scan(cache), lambda: data().standardization(), read], repeats)
    size = len(cache) * cache[POINT].shape[1] * cache[POINT].shape[2] * 2
    rates = [f"{size / seconds / 1e9:.2f} GB/s" for seconds in (bare, first, later)]
    name = "batches of stored tokens to a memmap scan"
    for which, value, target, rate in (
        ("epochs after the first", bare / later, ">= 0.8", rates[2]),
        ("first pass, which verifies and takes means and scales", bare / first, "", rates[1]),
    ):
        yield Figure(name=f"{name}, {which}", value=value, target=target, detail=f"{rate} to {rates[0]}")


def scan(cache: Cache) -> None:
    """Copies every sample's bytes from a memory map into a batch's worth of memory that is used again."""
    point = cache[POINT]
    size = point.shape[1] * point.shape[2] * 2
    batch = np.zeros((SCAN_BATCH, size), np.uint8)
    position = 0
    for commit in cache.commits:
        mapped = np.memmap(f"{cache.path}/{object_key(POINT, commit.shard)}", np.uint8, "r")
        for number in range(len(commit.rows)):
            start = number * (size + 4)  # a checksum stands behind each
            np.copyto(batch[position % SCAN_BATCH], mapped[start : start + size])
            position += 1


class _Timed(BatchLoader[Batch]):
    """A loader that adds up how long its user waited for batches, and used them (but for the last of an epoch)."""

    def __init__(self, inner: BatchLoader[Batch]) -> None:
        self._inner = inner
        self.waited = self.used = 0.0

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self._inner)
        while True:
            called = time.perf_counter()
            batch = next(batches, None)
            got = time.perf_counter()
            self.waited += got - called
            if batch is None:
                break
            yield batch
            self.used += time.perf_counter() - got


class _TimedData(FeatureData):
    timed: _Timed

    def train_dataloader(self) -> BatchLoader[Batch]:
        self.timed = _Timed(super().train_dataloader())
        return self.timed


def _waiting(cache: Cache, options: TrainingOptions) -> Figure:
    """Measures the training of a linear head on tokens that are read anew in each epoch."""
    streaming = replace(options, resident="none")
    loaded = load_targets(cache, ("patch-class",), streaming)
    data = _TimedData(open_source(cache, POINT), loaded.split, loaded.targets, streaming)
    bank = Bank(
        [RunSpec("patch-class", "token-linear", 0)], loaded.tasks, data.standardization(), streaming, grid=data.grid
    )
    fit(bank, data)
    waited, total = data.timed.waited, data.timed.waited + data.timed.used
    return Figure(
        name="share of a linear head's training that waits for batches, streamed",
        value=waited / total,
        target="<= 0.1",
        detail=f"{waited:.2f} s of {total:.2f} s",
    )
