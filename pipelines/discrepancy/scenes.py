"""The caches of the comparison: drawn scenes of many objects and of one, by two models, and in a hook's order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foresight_cache.encoders import LoadOptions, describe, load
from foresight_cache.encoders.qwen2_5_vl import Family
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import ExtractionOptions
from foresight_cache.format.commits import SampleRow
from foresight_cache.points import resolve
from foresight_cache.preparation.options import PreparationOptions
from foresight_cache.preparation.prepare_dataset import prepare
from foresight_cache.preparation.selection import SampleSelection
from foresight_cache.reader import Cache, open_cache
from foresight_cache.runtime.progress import Advance
from foresight_cache.samples import Grid
from foresight_cache.shards import open_shards
from foresight_cache.writer import CacheWriter, ShardWriter

SIZE = "224"
TINY = "tiny:qwen2_5_vl"


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneCache:
    """A cache of scenes that are drawn for it."""

    dataset: str
    """`shapes`, of one to five objects, or `single-shape`."""
    scenes: int
    model: str
    points: tuple[str, ...]
    """Points, or aliases of them."""
    name: str
    """Name of its folder."""

    def check(self) -> None:
        """Raises `ModelError` or `UnknownName` where the model is not there, or has no such point."""
        resolve(self.points, [tap.name for tap in describe(self.model, LoadOptions()).taps])

    def prepare(self, folder: Path, advance: Advance) -> Path:
        """Draws the scenes that are not there yet, and returns the folder of their tars."""
        shards = folder / "shards" / f"{self.dataset}-{self.scenes}"
        prepare(self.dataset, shards, PreparationOptions(selection=SampleSelection(limit=self.scenes)), advance)
        return shards

    def make(self, folder: Path, advance: Advance) -> Cache:
        """Extracts what is not there yet, and opens the cache. Raises `ModelError` and `UsageError`.

        Args:
            folder: Folder in which the scenes are prepared.
            advance: Called with numbers of samples and of bytes.
        """
        shards = folder / "shards" / f"{self.dataset}-{self.scenes}"
        encoder = load(self.model, LoadOptions(dtype="float32"))
        points = resolve(self.points, [tap.name for tap in encoder.taps])
        options = ExtractionOptions(points=points, inputs=InputSpec(size=InputSize.parse(SIZE)))
        place = folder / "caches" / f"{self.name}-{self.scenes}"
        extract(open_shards(shards), encoder, options, place, advance)
        return open_cache(place)


def hook_order(grid: Grid) -> np.ndarray:
    """Returns the raster index of the patch at each position of Qwen2.5-VL's vision tower, as a hook sees it, [N]."""
    encoder = Family.load(TINY, LoadOptions())
    tap = next(tap for tap in encoder.taps if tap.name == "vit.pre_merge")
    order = encoder.order_at(tap, [grid])
    assert order is not None  # noqa: S101 - of this tap
    return order.numpy()


def copy_in_order(cache: Cache, point: str, order_N: np.ndarray, place: Path) -> Cache:
    """Writes a cache of one point of another, with the tokens of each sample in this order, and opens it.

    All samples are good and lie on one grid.
    """
    layout = replace(
        cache.layout,
        fingerprint={**cache.fingerprint, "order": {"tokens": "as a hook returns them"}},
        points={point: cache.layout.points[point]},
    )
    with CacheWriter(place, layout) as writer:
        for pending in writer.pending([point]):
            with writer.shard(pending) as shard:
                _copy_shard(shard, cache, point, order_N, cache.commits[pending.number].rows, pending.number)
    return open_cache(place)


def _copy_shard(
    shard: ShardWriter, cache: Cache, point: str, order_N: np.ndarray, rows: Sequence[SampleRow], number: int
) -> None:
    first = sum(len(commit.rows) for commit in cache.commits[:number])
    for position in range(len(rows)):
        shard.add(position, point, cache[point].stored(first + position)[order_N])
    shard.commit(rows)
