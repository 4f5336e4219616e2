"""Planted caches whose points are the stages of a model, each with facts that are there or are not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache, open_cache
from foresight_cache.writer import CacheWriter
from foresight_probes.calibration.planted import SAMPLES_PER_SHARD, PlantedCache, PlantedPoint
from foresight_probes.splits import SIDES

TAPS = (
    *("vit.patch_embed", *(f"vit.block_{number:02d}" for number in range(1, 5)), "vit.pre_merge", "vit.post_merge"),
    *("llm.embed", *(f"llm.layer_{number:02d}" for number in range(1, 5)), "llm.final_norm"),
)
"""Taps of a model of four blocks and four layers, whatever of it is cached."""


def write(folder: Path, planted: PlantedCache, points: Mapping[str, str], size: str = "", **model: str) -> Cache:
    """Writes a cache with planted points by the names of taps; of another size or model its shards are the same."""
    own = {tap: PlantedPoint.parse(name) for tap, name in points.items()}
    numbers = [number for side in SIDES for number in planted.numbers(side)]
    layout = planted._layout(list(own.values()), len(numbers))
    stages = {tap: layout.points[str(point)] for tap, point in own.items()}
    described = {**layout.fingerprint["model"], "taps": list(TAPS), **model}
    layout = replace(
        layout,
        points={**stages, PIXELS: layout.points[PIXELS]},
        fingerprint={**layout.fingerprint, "model": described} | ({"input": {"size": size}} if size else {}),
    )
    with CacheWriter(folder, layout) as writer:
        for pending in writer.pending((*own, PIXELS)):
            start = pending.number * SAMPLES_PER_SHARD
            chosen = numbers[start : start + SAMPLES_PER_SHARD]
            drawn = planted.drawn(chosen)
            with writer.shard(pending) as shard:
                for tap, point in own.items():
                    for place, tokens_ND in enumerate(planted.features(point, planted.facts(point, drawn), chosen)):
                        shard.add(place, tap, tokens_ND)
                for place, scene in enumerate(drawn):
                    shard.add(place, PIXELS, scene.pixels.reshape(-1, 3))
                shard.commit([planted._row(scene, number) for scene, number in zip(drawn, chosen, strict=True)])
    return open_cache(folder)
