"""Rates of one process with one GPU: measured by the pilot where it can tell, assumed elsewhere."""

import json
import math
from collections import Counter
from contextlib import suppress

from foresight_cache.encoders import Encoder
from foresight_cache.errors import BadSample, ModelError
from foresight_cache.extraction.cache_plan import CachePlan
from foresight_cache.extraction.planning.cluster_plan import (
    GB_MONTH_PRICE,
    HASH_RATE,
    INPUTS_PER_THREAD,
    REQUEST_PRICE,
    Rates,
    Work,
)
from foresight_cache.extraction.planning.extraction_plan import ExtractionPlan
from foresight_cache.extraction.planning.gpu_speeds import PEAKS, SHARES, gpu_seconds, peaks_text
from foresight_cache.extraction.planning.operations import OperationCount, mean_operations
from foresight_cache.extraction.size_estimate import object_sizes
from foresight_cache.samples import Grid, Sample
from foresight_cache.shards.tar_headers import read_records


def all_work(plan: CachePlan) -> Work:
    """Returns all of an extraction, as if nothing were there yet; no cache is looked at."""
    sizes = object_sizes(plan.shape, plan.survey)
    return Work(
        samples=sum(shard.samples for shard in plan.shape.shards),
        shards=len(plan.shape.shards),
        arrays=len(plan.names),
        bytes=sum(map(sum, sizes.values())),
    )


def work_left(planned: ExtractionPlan) -> Work:
    """Returns what is left of an extraction."""
    arrays = sum(1 for point in planned.points if point.bytes_left)
    return Work(samples=planned.samples_left, shards=planned.shards_left, arrays=arrays, bytes=planned.bytes_left)


def operations_per_sample(plan: CachePlan) -> float:
    """Returns the floating-point operations of a sample of mean size up to the deepest point.

    Where samples differ in size, of the first shard's. Raises `ModelError` where they are not counted.
    """
    if plan.shards.media == "clip" and plan.options.inputs.clips_as == "images":
        raise ModelError("operations of clips whose frames are images of their own are not counted")
    sizes: Counter[tuple[Grid, Grid]] = Counter()
    for (_, patch, merged), number in _sizes(plan).items():
        sizes[patch, merged] += number
    own = mean_operations(OperationCount(plan.encoder), sizes, [str(point) for point in plan.options.points])
    return max(own.values(), default=0.0)


def assumed_rates(plan: CachePlan, planned: ExtractionPlan | None = None) -> list[Rates]:
    """Returns rates of each kind of GPU at the least and the largest share of its peak.

    Writing and inputs are those of the pilot where there is one. Raises `ModelError` where operations are not counted.
    """
    operations = operations_per_sample(plan)
    writing, inputs = _host_rates(plan, planned)
    return [
        Rates(
            gpu=kind,
            share=share,
            samples_per_second=1 / gpu_seconds(operations, kind, share) if operations else math.inf,
            write_bytes_per_second=writing,
            inputs_per_second=inputs,
        )
        for kind in PEAKS
        for share in reversed(SHARES)
    ]


def measured_rates(plan: CachePlan, planned: ExtractionPlan, gpu: str, load_seconds: float) -> Rates | None:
    """Returns the rates that the pilot measured on this machine's device; None without a pilot."""
    if planned.pilot is None:
        return None
    seconds = planned.pilot.seconds_per_sample
    writing, inputs = _host_rates(plan, planned)
    return Rates(
        gpu=gpu,
        samples_per_second=1 / seconds if seconds else math.inf,
        write_bytes_per_second=writing,
        inputs_per_second=inputs,
        load_seconds=load_seconds,
    )


def gpu_name(encoder: Encoder) -> str | None:
    """Returns the name of the GPU that an encoder computes on; None where that is none."""
    import torch

    return torch.cuda.get_device_name(encoder.device) if encoder.device.type == "cuda" else None


def origins(plan: CachePlan, planned: ExtractionPlan | None, rates: Rates) -> list[str]:
    """Returns where rates are from, and what was assumed, a sentence each."""
    has_pilot = planned is not None and planned.pilot is not None
    low, high = SHARES
    writing, inputs = rates.write_bytes_per_second / 1e9, rates.inputs_per_second
    threads = plan.options.execution.workers
    computing = (
        f"assumed: computing runs at a share of {high:g} or {low:g} of the dense bfloat16 peak in TFLOP/s "
        f"({peaks_text()}), {operations_per_sample(plan) / 1e12:.3g} TFLOP per sample without a prompt's words"
        if rates.share
        else f"measured: computing, {rates.samples_per_second:.3g} samples/s by one process on {rates.gpu}"
    )
    hosts = (
        f"measured: writing by one process on this machine, {writing:.3g} GB/s, and inputs by one thread, "
        f"{inputs / threads:.3g} samples/s; {threads} threads are taken to make {threads} times as many"
        if has_pilot
        else f"assumed: a process hashes and writes {writing:.3g} GB/s with two cores, and each of "
        f"its {threads} threads makes {INPUTS_PER_THREAD:g} inputs/s, a frame of a clip counted as one"
    )
    loading = "assumed" if rates.share else "measured"
    return [
        computing,
        hosts,
        f"{loading}: a process loads its model in {rates.load_seconds:.0f} s",
        "assumed: each GPU has a process and processor cores of its own; network cards are not looked at",
        f"prices of S3: ${REQUEST_PRICE * 1e6:g} for a million writes, ${GB_MONTH_PRICE:g} for a GB and month",
    ]


def _host_rates(plan: CachePlan, planned: ExtractionPlan | None) -> tuple[float, float]:
    """Returns bytes written and inputs made in a second by one process."""
    threads = plan.options.execution.workers
    if planned is None or planned.pilot is None:
        sizes = _sizes(plan)
        frames = sum(pixel.t * number for (pixel, _, _), number in sizes.items()) / max(1, sizes.total())
        return HASH_RATE, INPUTS_PER_THREAD * threads / max(1.0, frames)
    seconds = planned.write_seconds or 0.0
    writing = planned.bytes_left / seconds if seconds else planned.pilot.write_bytes_per_second
    each = planned.pilot.input_seconds_per_sample
    return writing, threads / each if each else math.inf


def _sizes(plan: CachePlan) -> Counter[tuple[Grid, Grid, Grid]]:
    """Returns numbers of samples by their grids of pixels, patches and merged tokens. Raises `ModelError`."""
    if common := plan.inputs.common_grids():
        return Counter({(common["pixel"], common["patch"], common["merged"]): 1})
    sizes: Counter[tuple[Grid, Grid, Grid]] = Counter()
    try:
        records = read_records(plan.shards, 0)
    except (OSError, ValueError) as error:
        raise ModelError(f"operations are not counted, since sizes of samples cannot be read: {error}") from None
    for record in records:
        with suppress(BadSample):
            grids = plan.inputs.grids(Sample.from_json(json.loads(record)))
            sizes[grids["pixel"], grids["patch"], grids["merged"]] += 1
    return sizes
