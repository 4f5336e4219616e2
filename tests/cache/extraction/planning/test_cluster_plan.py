"""Plans for clusters, against cases worked by hand and against a simulation that shares no code with them."""

import heapq
import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from transformers import Qwen2_5_VLConfig

from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.errors import UsageError
from foresight_cache.extraction.planning.cluster_plan import (
    Cluster,
    ClusterPlan,
    Rates,
    Work,
    month_price,
    request_price,
)
from foresight_cache.extraction.planning.gpu_speeds import gpu_seconds
from foresight_cache.extraction.planning.operations import OperationCount
from foresight_cache.extraction.size_estimate import Survey, TokenCounts, object_sizes
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.samples import Grid

WORDS = 29
"""Tokens of the prompt, which the cases leave open."""
PER_SHARD = 64
CASES: dict[str, dict[str, Any]] = {
    "coco": {
        **{"samples": 123_287, "grid": Grid(1, 32, 32), "pixels": (1, 448, 448), "labels": False},
        **{"vit": 1.35, "llm": 3.75, "mb": 18.4, "hours": (1.86, 1.40, 1.12), "tb": 2.27, "shards": 1927},
        **{"requests": 23_000, "request_price": 0.12, "month": 52},
    },
    "ade20k": {
        **{"samples": 27_574, "grid": Grid(1, 32, 32), "pixels": (1, 448, 448), "labels": True},
        **{"vit": 1.35, "llm": 3.75, "mb": 18.6, "hours": (0.42, 0.31, 0.25), "tb": 0.51, "shards": 431},
        **{"requests": 5_600, "request_price": 0.028, "month": 12},
    },
    "ssv2": {
        **{"samples": 193_690, "grid": Grid(8, 16, 16), "pixels": (16, 224, 224), "labels": False},
        **{"vit": 2.66, "llm": 7.53, "mb": 38.1, "hours": (5.86, 4.39, 3.52), "tb": 7.37, "shards": 3027},
        **{"requests": 36_000, "request_price": 0.18, "month": 170},
    },
}


def operations(case: dict[str, Any]) -> dict[str, int]:
    """Operations up to each tap of a Qwen2.5-VL of the 7B's published widths."""
    config = Qwen2_5_VLConfig(
        vision_config={
            **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584},
            **{"fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112, "patch_size": 14},
        },
        text_config={
            **{"hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944, "num_attention_heads": 28},
            **{"num_key_value_heads": 4, "vocab_size": 152064},
        },
    )
    encoder = Family(config, None, options=LoadOptions(device="cpu"))
    patch = case["grid"]
    return OperationCount(encoder).up_to(
        {"patch": patch, "merged": Grid(patch.t, patch.h // 2, patch.w // 2)}, words=WORDS
    )


def megabytes(case: dict[str, Any]) -> float:
    """Bytes of a sample at four points of the tower and four of merged tokens, by the format's own layout."""
    patches, pixels = case["grid"].tokens, math.prod(case["pixels"])
    counts = TokenCounts(pixel=pixels, patch=patches, merged=patches // 4)
    points = {f"vit.{n}": PointLayout.fixed("patch", "bfloat16", patches, 1280) for n in range(4)}
    points |= {f"llm.{n}": PointLayout.fixed("merged", "bfloat16", patches // 4, 3584) for n in range(4)}
    points["pixels"] = PointLayout.fixed("pixel", "uint8", pixels, 3)
    points |= {"labels": PointLayout.fixed("pixel", "uint8", pixels, 1)} if case["labels"] else {}
    shards = (ShardSource(name="a", sha256="0", samples=PER_SHARD),)
    layout = CacheLayout(fingerprint={}, samples_per_shard=PER_SHARD, shards=shards, points=points)
    sizes = object_sizes(layout, Survey(sizes={0: Counter({counts: PER_SHARD})}, record_bytes=0.0))
    return sum(map(sum, sizes.values())) / PER_SHARD / 1e6


def planned(work: Work, samples_per_second: float, **more: Any) -> ClusterPlan:
    options = {"load_seconds": 0.0, "write_bytes_per_second": math.inf, "inputs_per_second": math.inf} | more
    cluster = options.pop("cluster", Cluster())
    return ClusterPlan(
        cluster=cluster, work=work, rates=Rates(gpu="A100", samples_per_second=samples_per_second, **options)
    )


@pytest.mark.parametrize("name", CASES)
def test_a_case_worked_by_hand(name: str) -> None:
    """Operations, bytes, hours of an A100 at 0.3, 0.4 and 0.5 of its peak, shards, requests and prices."""
    case = CASES[name]
    own = operations(case)
    tower, whole = own["vit.post_merge"], own["llm.layer_28"]
    assert tower / 1e12 == pytest.approx(case["vit"], rel=0.01)
    assert (whole - tower) / 1e12 == pytest.approx(case["llm"], rel=0.05), "as far as the prompt is known"
    size = megabytes(case)
    assert size == pytest.approx(case["mb"], rel=0.005)
    shards = math.ceil(case["samples"] / PER_SHARD)
    arrays = 9 + case["labels"]
    work = Work(samples=case["samples"], shards=shards, arrays=arrays, bytes=round(case["samples"] * size * 1e6))
    for share, hours in zip((0.3, 0.4, 0.5), case["hours"], strict=True):
        plan = planned(work, 1 / gpu_seconds(1e12 * (case["vit"] + case["llm"]), "A100", share))
        assert plan.seconds / 3600 == pytest.approx(hours, abs=0.006, rel=0.01)
        assert plan.bound_by == "computing"
    assert shards == case["shards"]
    assert work.bytes / 1e12 == pytest.approx(case["tb"], abs=0.006)
    assert work.requests == pytest.approx(case["requests"], rel=0.02)
    assert request_price(work) == pytest.approx(case["request_price"], rel=0.04)
    assert month_price(work) == pytest.approx(case["month"], rel=0.02)


WORK = Work(samples=6400, shards=100, arrays=9, bytes=100_000_000_000)
"""A shard is 64 samples and 1 GB."""


def test_the_slowest_part_binds() -> None:
    """8 GPUs at 10 samples/s take 80 s; a store of 4 Gb/s, 0.5 GB/s, takes 200 s; inputs at 2/s each take 400 s."""
    cluster = Cluster(nodes=2, gpus_per_node=4)
    free = planned(WORK, 10.0, cluster=cluster)
    assert (free.parts["computing"], free.bound_by) == (80.0, "computing")
    slow_store = planned(WORK, 10.0, cluster=replace(cluster, store_gbps=4.0))
    assert (slow_store.parts["writing"], slow_store.bound_by) == (200.0, "the store")
    slow_writers = planned(WORK, 10.0, cluster=cluster, write_bytes_per_second=0.1e9)
    assert (slow_writers.parts["writing"], slow_writers.bound_by) == (125.0, "writing")
    slow_inputs = planned(WORK, 10.0, cluster=replace(cluster, store_gbps=4.0), inputs_per_second=2.0)
    assert (slow_inputs.parts["inputs"], slow_inputs.bound_by) == (400.0, "inputs")
    assert planned(WORK, 10.0, cluster=cluster, load_seconds=81.0).bound_by == "loading"


def test_the_last_shards_and_loading() -> None:
    """100 shards of 6.4 s go over 8 GPUs in 13 rounds, 83.2 s, after 20 s of loading."""
    plan = planned(WORK, 10.0, cluster=Cluster(nodes=1, gpus_per_node=8, gpu_hour=2.0), load_seconds=20.0)
    assert plan.seconds == pytest.approx(103.2)
    assert plan.gpu_price == pytest.approx(8 * 103.2 / 3600 * 2.0)
    assert planned(WORK, 10.0, load_seconds=20.0).seconds == pytest.approx(660.0), "one process has nobody to wait for"
    assert planned(replace(WORK, samples=0, shards=0, bytes=0), 10.0, load_seconds=20.0).seconds == 0


def test_gpus_beyond_the_shards_do_not_help() -> None:
    work = replace(WORK, samples=640, shards=10)
    two, ten, many = (planned(work, 10.0, cluster=Cluster(nodes=nodes)) for nodes in (2, 10, 50))
    assert (two.useful_gpus, ten.useful_gpus, many.useful_gpus) == (2, 10, 10)
    assert two.warnings == ()
    assert "there are 1.0 shards for each GPU" in ten.warnings[0]
    assert many.warnings[0].startswith("40 of 50 GPUs have nothing to do: there are 10 shards")
    assert many.seconds == ten.seconds == pytest.approx(6.4)
    assert many.gpu_hours == pytest.approx(5 * ten.gpu_hours)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpus_per_node": 2}, "--gpus-per-node says something of a cluster; give --nodes as well"),
        ({"nodes": 0}, "--nodes is 0, expected a number above 0"),
        ({"nodes": -3}, "--nodes is -3, expected a number above 0"),
        ({"nodes": 1, "gpus_per_node": 0}, "--gpus-per-node is 0, expected a number above 0"),
        ({"nodes": 1, "store_gbps": math.nan}, "--store-gbps is nan, expected a number above 0"),
        ({"nodes": 1, "gpu_hour": math.inf}, "--gpu-hour is inf, expected a number above 0"),
    ],
)
def test_no_such_cluster(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Cluster(**given)


def simulated(seed: int, *, shard_seconds: float, store_seconds: float, load_seconds: float, failing: float) -> float:
    """Wall time of 1,000 shards on 64 workers that fail at random moments and come again.

    A worker computes while its last shard is on its way into the store, which takes one shard after the other.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    waiting = 1000
    ready = [(load_seconds, worker) for worker in range(64)]
    written_by = dict.fromkeys(range(64), 0.0)
    heapq.heapify(ready)
    store_free = end = 0.0
    while waiting:
        now, worker = heapq.heappop(ready)
        duration = shard_seconds * chance.lognormvariate(-(0.15**2) / 2, 0.15)
        if chance.random() < failing:
            heapq.heappush(ready, (now + duration * chance.random() + load_seconds, worker))
            continue
        waiting -= 1
        computed = max(now + duration, written_by[worker])
        store_free = max(store_free, computed) + store_seconds
        written_by[worker] = store_free
        end = max(end, store_free)
        heapq.heappush(ready, (computed, worker))
    return end


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("store_seconds", [0.01, 0.6], ids=["computing binds", "the store binds"])
def test_a_plan_is_close_to_a_simulation_with_failures(seed: int, store_seconds: float) -> None:
    """1 % of the shards are lost on the way, with their worker, which loads anew."""
    work = Work(samples=64_000, shards=1000, arrays=9, bytes=10**12)
    gbps = 8 * work.bytes / 1000 / store_seconds / 1e9
    cluster = Cluster(nodes=8, gpus_per_node=8, store_gbps=gbps)
    plan = planned(work, 64 / 30.0, cluster=cluster, load_seconds=40.0)
    assert plan.bound_by == ("computing" if store_seconds < 0.1 else "the store")
    real = simulated(seed, shard_seconds=30.0, store_seconds=store_seconds, load_seconds=40.0, failing=0.01)
    assert plan.seconds == pytest.approx(real, rel=0.1)
