"""The wall time that a plan tells beforehand, and that of the extraction itself by one process and by two.

Each process computes with one thread and stands for a GPU of its own, so that two need two idle cores. Cores share what
GPUs do not, such as memory, and slow each other down: so there are as many pilots beside each other as extractions.
Loading and the end of processes are left out on both sides: all start together once their models are there.
"""

import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import fmean

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
from foresight_cache.shards import ShardSet, open_shards
from pipelines.bench.measuring.given import Given
from pipelines.bench.measuring.ratios import Figure

Told = SimpleQueue[tuple[float, float]]
"""What processes tell: the beginning and the end of what they have done or planned, in seconds."""
TAKES_GIVEN = False
_SIDE, _PER_SHARD, _BATCH = 224, 8, 4
_TURNS = 3
"""Pairs of a plan and an extraction, since virtual machines are now faster and now slower."""
_TARGET = "<= 1.15"


def run(folder: Path, *, quick: bool, given: Given) -> list[Figure]:  # noqa: ARG001 - takes nothing
    """Plans and extracts 64 scenes with DINOv2-small's shape and random weights, in turns; 32 and once if quick."""
    _save_model(folder / "model")
    selection = SampleSelection(limit=32 if quick else 64)
    prepare("shapes", folder / "shards", PreparationOptions(selection=selection, samples_per_shard=_PER_SHARD))
    return [_figure(folder, processes, 1 if quick else _TURNS) for processes in (1, 2)]


def _figure(folder: Path, processes: int, turns: int) -> Figure:
    pairs = []
    for turn in range(turns):
        out = folder / f"cache-{processes}-{turn}"
        pairs.append((_planned(folder, out, processes), _measured(folder, out, processes)))
    planned, measured = (fmean(each) for each in zip(*pairs, strict=True))
    return Figure(
        name=f"planned and measured wall time of extract, the longer to the shorter, {processes} at once",
        value=max(planned, measured) / min(planned, measured),
        target=_TARGET,
        detail=f"{planned:.1f} s planned, {measured:.1f} s measured, means of {turns}",
    )


def _planned(folder: Path, out: Path, processes: int) -> float:
    """Seconds that a plan tells, the mean over its pilots."""
    return fmean(seconds for _, seconds in _beside_each_other(_plan, folder, out, processes))


def _measured(folder: Path, out: Path, processes: int) -> float:
    """Seconds from the moment when all models are loaded to that when the last process has nothing left to do."""
    moments = _beside_each_other(_extract, folder, out, processes)
    return max(end for _, end in moments) - min(begin for begin, _ in moments)


def _beside_each_other(work: Callable[..., None], folder: Path, out: Path, processes: int) -> list[tuple[float, float]]:
    """Returns what so many processes tell of a work that they begin together."""
    context = get_context("spawn")
    ready, told = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=work, args=(folder, out, processes, ready, told)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError(f"a process that works for {out} has failed")
    return [told.get() for _ in workers]


def _plan(folder: Path, out: Path, processes: int, ready: Barrier, told: Told) -> None:
    encoder, shards = _begun(folder, ready)
    options = _options(encoder)
    ready.wait()
    planned = plan_extraction(shards, encoder, options, out)
    rates = measured_rates(CachePlan(shards, encoder, options, out), planned, "processor", 0.0)
    if rates is None:
        raise RuntimeError(f"no pilot fits into {folder}")
    cluster = Cluster(nodes=1, gpus_per_node=processes)
    told.put((0.0, ClusterPlan(cluster=cluster, work=work_left(planned), rates=rates).seconds))


def _extract(folder: Path, out: Path, _processes: int, ready: Barrier, told: Told) -> None:
    """Tells when it began and ended, by the clock that all processes of a machine share."""
    encoder, shards = _begun(folder, ready)
    ready.wait()
    begun = time.monotonic()
    extract(shards, encoder, _options(encoder), out)
    told.put((begun, time.monotonic()))


def _begun(folder: Path, ready: Barrier) -> tuple[Encoder, ShardSet]:
    """What a process needs, that computes with one thread."""
    end_with_parent()
    torch.set_num_threads(1)
    try:
        return _encoder(folder), open_shards(folder / "shards")
    except BaseException:
        ready.abort()
        raise


def _encoder(folder: Path) -> Encoder:
    return load(f"random:{folder / 'model'}", LoadOptions(dtype="float32", device="cpu"))


def _options(encoder: Encoder) -> ExtractionOptions:
    return ExtractionOptions(
        points=resolve(["E1", "E4"], [tap.name for tap in encoder.taps]),
        inputs=InputSpec(size=InputSize((_SIDE, _SIDE))),
        execution=Execution(batch_tokens=_BATCH * (_SIDE // 14) ** 2, workers=1),
    )


def _save_model(folder: Path) -> None:
    make("Dinov2Config", hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14).save_pretrained(folder)
    make("BitImageProcessor", do_convert_rgb=True).save_pretrained(folder)
