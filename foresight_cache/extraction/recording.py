"""Computed batches become committed shards."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial

import numpy as np

from foresight_cache.extraction.feature_checks import DuplicateGuard, check_counts, check_extremes, with_text_grids
from foresight_cache.extraction.host_copies import HostCopies
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.order_check import OrderCheck, check_orders
from foresight_cache.extraction.prepared_batches import PreparedBatch
from foresight_cache.format.commits import SampleRow
from foresight_cache.points import LABELS, OF_TEXT, PIXELS, Point
from foresight_cache.writer import CacheWriter, PendingShard, ShardWriter

Computed = tuple[HostCopies, HostCopies]
"""The features of a batch by point and sample, and their extremes by point."""

Committed = Callable[[int, int, int], None]
"""Called with a shard's number, its samples and its bytes."""


class ShardRecorder:
    """Writer of one shard's batches after another's; it commits a shard with its last batch.

    The points of a batch are checked, hashed and written side by side. One thread at a time may call it.
    """

    def __init__(self, cache: CacheWriter, inputs: Inputs, threads: int, committed: Committed) -> None:
        """Takes what is called after each commit."""
        self._cache, self._inputs, self._committed = cache, inputs, committed
        self._threads = ThreadPoolExecutor(threads)
        self._stack = ExitStack()
        self._shard: _OpenShard | None = None
        self._checked = False

    def add(self, batch: PreparedBatch, computed: Computed, halved: int) -> None:
        """Writes the next batch, of which `halved` were computed in halves.

        Raises `FeatureError` for values that no cache should hold, and what writing raises.
        """
        shard = self._shard = self._shard or self._open(batch.shard)
        features, extremes = (copies.arrays() for copies in computed)
        check_extremes(
            {point: bounds for point, (bounds,) in extremes.items()}, [sample.id for sample in batch.samples]
        )
        rows = with_text_grids(list(map(self._inputs.row, batch.samples, batch.times)), features)
        check_counts(features, self._cache.layout.points, rows)
        self._add(shard, batch, features)
        if shard.orders:
            shard.orders.add(batch.positions, rows, list(map(self._inputs.seen, batch.pixels)), features)
        shard.rows |= dict(batch.bad) | dict(zip(batch.positions, rows, strict=True))
        shard.halved += halved
        if batch.is_last:
            orders = shard.checked_orders()
            shard.writer.commit(
                [shard.rows[position] for position in sorted(shard.rows)], halved=shard.halved, orders=orders
            )
            self.drop()
            self._committed(shard.number, len(shard.rows), shard.writer.size)

    def _open(self, pending: PendingShard) -> "_OpenShard":
        """Begins a shard; the order of tokens is checked on the first shard of all and on the first that is written."""
        writer = self._stack.enter_context(self._cache.shard(pending))
        orders = None
        if pending.number == 0 or not self._checked:
            points = {point: self._cache.layout.points[point] for point in pending.points}
            orders = OrderCheck(points, self._cache.layout.shards[pending.number].samples)
        self._checked = True
        return _OpenShard(writer, pending, orders)

    def drop(self) -> None:
        """Removes what was written of a shard that is not committed."""
        self._stack.close()
        self._shard = None

    def close(self) -> None:
        """Ends the threads; a shard that is not committed is dropped."""
        self._threads.shutdown()
        self.drop()

    def _add(self, shard: "_OpenShard", batch: PreparedBatch, features: Mapping[str, Sequence[np.ndarray]]) -> None:
        added = [
            self._threads.submit(partial(_add_features, shard, batch, self._inputs, point, samples))
            for point, samples in features.items()
        ]
        added.append(self._threads.submit(partial(_add_pictures, shard, batch)))
        wait(added)  # all of them, before the files may be closed
        for future in added:
            future.result()


class _OpenShard:
    """A shard that is being written, with its rows so far."""

    def __init__(self, writer: ShardWriter, pending: PendingShard, orders: OrderCheck | None) -> None:
        self.writer, self.orders = writer, orders
        self.number = pending.number
        self.points = pending.points
        self.rows: dict[int, SampleRow] = {}
        self.duplicates = DuplicateGuard()
        self.halved = 0

    def checked_orders(self) -> dict[str, dict[str, float]]:
        """Returns the scores that are kept, those of the first shard, so that a cache does not tell who wrote it.

        Raises `FeatureError` where a point is in another order than raster.
        """
        scores = self.orders.scores() if self.orders else {}
        check_orders(scores)
        return scores if self.number == 0 else {}


def _add_features(
    shard: _OpenShard, batch: PreparedBatch, inputs: Inputs, point: str, samples: Sequence[np.ndarray]
) -> None:
    # Prompts are alike, and so may be the last patches, and everything of grey pictures of different sizes.
    may_be_alike = Point.parse(point).readout in (*OF_TEXT, "last_vision") or inputs.spec.blank_image == "grey"
    may_be_alike |= bool(samples) and samples[0].dtype == np.uint8  # pixels, which are rounded
    for position, sample, pixels, tokens in zip(batch.positions, batch.samples, batch.pixels, samples, strict=True):
        if not may_be_alike:
            shard.duplicates.check(sample.id, inputs.seen(pixels), {point: tokens})
        shard.writer.add(position, point, tokens)


def _add_pictures(shard: _OpenShard, batch: PreparedBatch) -> None:
    for position, pixels, labels in zip(batch.positions, batch.pixels, batch.labels, strict=True):
        if PIXELS in shard.points:
            shard.writer.add(position, PIXELS, pixels.reshape(-1, 3))
        if labels is not None:
            shard.writer.add(position, LABELS, labels)
