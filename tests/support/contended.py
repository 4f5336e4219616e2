"""A cache of tiny shards that several writers contend for, and what each of them makes of it alone."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from foresight_cache.format import layout
from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout
from foresight_cache.format.stores import WritableStore
from foresight_cache.writer import CacheWriter, PendingShard, ShardWriter
from tests.support import planted

SHARDS, PER_SHARD = 8, 2
BAD = 5
"""A slot whose sample is quarantined."""
POINTS = {
    "vit.block_01": PointLayout.fixed("patch", "bfloat16", 4, 3),
    "llm.layer_01": PointLayout.fixed("merged", "float32", 2, 3),
    "pixels": PointLayout.fixed("pixel", "uint8", 6, 3),
}


def plan(points: Mapping[str, PointLayout] = POINTS, shards: int = SHARDS) -> CacheLayout:
    whole = planted.plan(dict(points), samples=4 * shards)
    return replace(
        whole,
        samples_per_shard=PER_SHARD,
        shards=tuple(replace(shard, samples=PER_SHARD) for shard in whole.shards),
        points=dict(points),
    )


ALL = plan()


def values(slot: int, name: str, kind: int) -> np.ndarray:
    """Tokens [N, D] as one of two kinds of GPUs computes them: their last bits differ, those of pixels do not."""
    point = POINTS[name]
    numbers = planted.values(slot, point.tokens, point)
    if kind and point.level != "pixel":
        numbers = (numbers.astype(np.float32) * np.float32(1 + 2**-7)).astype(point.numpy_dtype)
    return numbers


def rows(number: int) -> list[SampleRow]:
    slots = range(number * PER_SHARD, (number + 1) * PER_SHARD)
    levels = {"pixel": planted.Grid(1, 2, 3), "patch": planted.Grid(1, 2, 2), "merged": planted.Grid(1, 1, 2)}
    return [
        replace(planted.good(slot, {}), status="bad", reason="truncated") if slot == BAD else planted.good(slot, levels)
        for slot in slots
    ]


def add(shard: ShardWriter, pending: PendingShard, kind: int) -> None:
    """Adds what a forward pass would have made."""
    for position, row in enumerate(rows(pending.number)):
        for point in pending.points if row.status == "ok" else ():
            shard.add(position, point, values(pending.number * PER_SHARD + position, point, kind))


def work(place: str | os.PathLike[str] | WritableStore, wanted: CacheLayout, kind: int) -> None:
    """What an extraction does, but for the model."""
    names = tuple(wanted.points)
    with CacheWriter(place, wanted) as cache:
        while True:
            for pending in cache.pending(names):
                with cache.shard(pending) as shard:
                    add(shard, pending, kind)
                    shard.commit(rows(pending.number))
            if not cache.wait_for_others(names):
                return


@dataclass(frozen=True)
class Alone:
    """What a single undisturbed run of each kind of GPU makes."""

    objects: tuple[Mapping[str, bytes], Mapping[str, bytes]]

    def check(self, found: Mapping[str, bytes]) -> None:
        """Each object is of one of the two, and its entry in the commit is the one of that run."""
        assert found.keys() == self.objects[0].keys()
        for key in found.keys() - {layout.commit_key(number) for number in range(SHARDS)}:
            assert found[key] in {objects[key] for objects in self.objects}, key
        for number in range(SHARDS):
            commits = [json.loads(objects[layout.commit_key(number)]) for objects in (found, *self.objects)]
            for point, entry in commits[0]["objects"].items():
                key = layout.object_key(point, number)
                of = next(kind for kind in (0, 1) if self.objects[kind][key] == found[key])
                assert entry == commits[1 + of]["objects"][point], f"{point} of shard {number}"
            assert commits[0]["rows"] == commits[1]["rows"]
