"""How much dearer forty probes are than one, what trained ones cost, and how near reading comes to a bare scan."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import ml_dtypes
import numpy as np

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource, object_key
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter
from foresight_probes import heads as registry
from foresight_probes.batches import Batch
from foresight_probes.features.batch_sampler import BatchLoader
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source
from foresight_probes.features.standardization import Standardization
from foresight_probes.heads.layers.base import SolvableHead
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import resplit
from foresight_probes.sweeps.plan import plan_sweep
from foresight_probes.sweeps.run import train_sweep
from foresight_probes.sweeps.sweep import Sweep
from foresight_probes.sweeps.targets import TaskTargets, load_targets
from foresight_probes.training.bank import Bank
from foresight_probes.training.closed_forms import ClosedForms
from foresight_probes.training.leading_directions import leading_directions, training_sample
from foresight_probes.training.run_spec import RunSpec, build_heads
from foresight_probes.training.search import Search
from foresight_probes.training.solver_data import SolverData
from foresight_probes.training.solvers import solver_of
from foresight_probes.training.trainer import fit
from pipelines.bench.measuring import logistic
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure, medians

TAKES_GIVEN = False
POINT = "vit.block_01"
TASKS = ("speed", "relation", "action", "hallucination", "direction")
WAYS = ("left", "right", "up", "down")
SCAN_BATCH = 16
"""Samples whose bytes the bare scan copies next to each other before it begins again."""


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:  # noqa: ARG001 - takes nothing
    """Writes a cache into an empty folder (1.3 GB; 230 MB if quick) and measures on it."""
    samples, side, width = (192, 24, 1024) if quick else (512, 32, 1280)
    cache = write_cache(folder / "cache", samples, Grid(1, side, side), width)
    repeats = 3
    options = TrainingOptions(epochs=10, batch_size=64, device="cpu", strengths=(1.0,))
    return [
        *_solved(cache, options, repeats),
        _sweeps(cache, options, repeats),
        _moments(cache, options),
        *_trained(cache, options),
        *logistic.figures(quick=quick),
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


def _solved(cache: Cache, options: TrainingOptions, repeats: int) -> Iterator[Figure]:
    """Measures how much dearer many solved heads are than one, from the files to the scores of the test split."""
    one = [RunSpec("speed", "pooled-linear", 0)]
    seeds = [RunSpec("speed", "pooled-linear", seed) for seed in range(8)]
    forty = [RunSpec(task, "pooled-linear", seed) for task in TASKS for seed in range(8)]
    path = replace(options, strengths=tuple(np.geomspace(1e-3, 1e6, 52).tolist()))
    for name, runs, alone, chosen, target in (
        ("52 penalties of a solved head to one", one, one, path, "<= 1.2"),
        ("8 seeds of a solved head, each with training samples of its own, to one", seeds, one, options, "<= 1.2"),
        ("40 solved heads (5 tasks × 8 seeds) to one", forty, forty[8:9], options, ""),
    ):
        parts = [partial(_solve, cache, alone, options), partial(_solve, cache, runs, chosen)]
        single, many = medians(parts, repeats)
        yield Figure(name=name, value=many / single, target=target, detail=f"{many:.2f} s to {single:.2f} s")


def _sweeps(cache: Cache, options: TrainingOptions, repeats: int) -> Figure:
    """Measures the forty as a user has them."""

    def run(tasks: Sequence[str], seeds: Sequence[int]) -> None:
        sweep = Sweep(
            tasks=tuple(tasks), points=(POINT,), heads=("pooled-linear",), seeds=tuple(seeds), options=options
        )
        with TemporaryDirectory(dir=Path(cache.path).parent) as folder:
            train_sweep(plan_sweep(cache, sweep, Path(folder)))

    single, many = medians([partial(run, TASKS[1:2], (0,)), partial(run, TASKS, range(8))], repeats)
    name = "train-probe with 40 solved runs to one, intervals, mean predictors and files of results included"
    return Figure(name=name, value=many / single, target="", detail=f"{many:.2f} s to {single:.2f} s")


def _solve(cache: Cache, runs: Sequence[RunSpec], options: TrainingOptions) -> None:
    """Everything from the files to the scores of the test split."""
    loaded, data, standardization = _opened(cache, runs, options)
    groups = [sample["group"] for sample in cache.rows]
    heads = build_heads(runs, loaded.tasks, standardization, data.grid)
    solver_data = SolverData(
        runs=runs,
        tasks=loaded.tasks,
        heads=[cast(SolvableHead, head) for head in heads],
        solvers=[str(solver_of(loaded.tasks[run.task], run.head)) for run in runs],
        splits=[resplit(loaded.split, groups, run.seed) for run in runs],
        features=data,
        standardization=standardization,
    )
    ClosedForms(solver_data, options).fit()


def _trained(cache: Cache, options: TrainingOptions) -> Iterator[Figure]:
    """Measures what a trained head costs until it has converged, in scans of the point's bytes."""
    (bare,) = medians([lambda: scan(cache)], 1)
    for task, head in (("hallucination", "mlp"), ("boxes", "token-linear")):
        runs = [RunSpec(task, head, 0)]
        loaded, data, standardization = _opened(cache, runs, options)
        started = time.perf_counter()
        (fitted,) = Search(runs, loaded.tasks, data, standardization, options).fit()
        took = time.perf_counter() - started
        ended = "converged" if fitted.chosen["converged"] else "not converged"
        name = f"{head} for {task} until it has converged, to a memmap scan"
        yield Figure(name=name, value=took / bare, target="", detail=f"{took:.1f} s to {bare:.2f} s; {ended}")


def _moments(cache: Cache, options: TrainingOptions) -> Figure:
    """Measures the leading directions of a point's tokens, which are found once for all heads."""
    _, data, standardization = _opened(cache, [RunSpec("patch-class", "token-linear", 0)], options)

    def find() -> None:
        leading_directions(training_sample(data, standardization, pooled=False), 128)

    bare, took = medians([lambda: scan(cache), find], 1)
    name = "moments: the 128 leading directions of at most 65,536 tokens, to a memmap scan"
    return Figure(name=name, value=took / bare, target="", detail=f"{took:.2f} s to {bare:.2f} s")


def _opened(
    cache: Cache, runs: Sequence[RunSpec], options: TrainingOptions
) -> tuple[TaskTargets, FeatureData, Standardization]:
    loaded = load_targets(cache, [run.task for run in runs], options)
    per_token = any(registry.reads_tokens(run.head) for run in runs)
    data = FeatureData(open_source(cache, POINT), loaded.split, loaded.targets, options, tokens=per_token)
    return loaded, data, data.standardization()


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
