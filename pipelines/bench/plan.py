"""The wall time that a plan tells beforehand, and that of the extraction itself by one process and by two.

Each process computes with one thread and stands for a GPU of its own, so that two need two idle cores. Loading is left
out on both sides: processes start together once their models are there.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch

from foresight_cache.encoders import Encoder, LoadOptions, load
from foresight_cache.encoders.weights.tiny_models import make
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.extraction.planning.cluster_plan import Cluster, ClusterPlan
from foresight_cache.extraction.planning.extraction_plan import plan_extraction
from foresight_cache.extraction.planning.gpu_rates import measured_rates, work_left
from foresight_cache.points import resolve
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare_dataset import prepare
from foresight_cache.preparation.selection import SampleSelection
from foresight_cache.runtime.interruption import end_with_parent
from foresight_cache.shards import open_shards
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure

TAKES_GIVEN = False
_SIDE, _PER_SHARD, _BATCH = 224, 8, 4
_TARGET = "<= 1.15"


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:  # noqa: ARG001 - takes nothing
    """Extracts 64 scenes, 32 if quick, with DINOv2-small's shape and random weights, once with each number."""
    _save_model(folder / "model")
    selection = SampleSelection(limit=32 if quick else 64)
    prepare("shapes", folder / "shards", PreparationOptions(selection=selection, samples_per_shard=_PER_SHARD))
    return [_figure(folder, processes) for processes in (1, 2)]


def _figure(folder: Path, processes: int) -> Figure:
    out = folder / f"cache-{processes}"
    planned, measured = _planned(folder, out, processes), _measured(folder, out, processes)
    return Figure(
        name=f"planned and measured wall time of extract, the longer to the shorter, {processes} at once",
        value=max(planned, measured) / min(planned, measured),
        target=_TARGET,
        detail=f"{planned:.1f} s planned, {measured:.1f} s measured",
    )


def _planned(folder: Path, out: Path, processes: int) -> float:
    """Seconds that a plan tells, from a pilot in this process."""
    with _one_thread():
        encoder = _encoder(folder)
        shards, options = open_shards(folder / "shards"), _options(encoder)
        planned = plan_extraction(shards, encoder, options, out)
        rates = measured_rates(CachePlan(shards, encoder, options, out), planned, "processor", 0.0)
    if rates is None:
        raise RuntimeError(f"no pilot fits into {folder}")
    cluster = Cluster(nodes=1, gpus_per_node=processes)
    return ClusterPlan(cluster=cluster, work=work_left(planned), rates=rates).seconds


def _measured(folder: Path, out: Path, processes: int) -> float:
    """Seconds from the moment when all models are loaded to that when the last process has ended."""
    context = get_context("spawn")
    ready = context.Barrier(processes + 1)
    workers = [context.Process(target=_extract, args=(folder, out, ready)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError(f"a process that extracts into {out} has failed")
    return time.perf_counter() - begun


def _extract(folder: Path, out: Path, ready: Barrier) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    try:
        encoder = _encoder(folder)
        shards = open_shards(folder / "shards")
    except BaseException:
        ready.abort()
        raise
    ready.wait()
    extract(shards, encoder, _options(encoder), out)


def _encoder(folder: Path) -> Encoder:
    return load(f"random:{folder / 'model'}", LoadOptions(dtype="float32", device="cpu"))


def _options(encoder: Encoder) -> ExtractionOptions:
    return ExtractionOptions(
        points=resolve(["E1", "E4"], [tap.name for tap in encoder.taps]),
        inputs=InputSpec(size=InputSize((_SIDE, _SIDE))),
        execution=Execution(batch_tokens=_BATCH * (_SIDE // 14) ** 2, workers=1),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch compute with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _save_model(folder: Path) -> None:
    make("Dinov2Config", hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14).save_pretrained(folder)
    make("BitImageProcessor", do_convert_rgb=True).save_pretrained(folder)
