"""Linear CKA of all pairs of points over the same samples, from one pass over the cache, and chance's part in it."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.features.batch_sampler import ahead
from foresight_probes.features.sources import Source, open_source
from foresight_probes.heads.layers.alignment import nearest
from foresight_probes.metrics.similarity_metrics import CrossProducts, Pair, linear_cka, noise_cka
from foresight_probes.similarity.chance import Chance, choose
from foresight_probes.similarity.reading import (
    BATCH_ROWS,
    batches,
    common_rows,
    read_tokens,
    require_one_fit,
    select_points,
)
from foresight_probes.similarity.result import Of, PointSimilarity, matrix_of

MOST_BYTES = 4 * 1024**3
"""Bytes of sums that a pass keeps at most; all pairs of eight points of 3,584 channels take less."""


class PointComparison:
    """Points of one cache or two, and the samples that are compared; all input is checked when it is made."""

    def __init__(
        self,
        cache: Cache,
        points: Sequence[str] | None = None,
        *,
        of: Of = "tokens",
        other: Cache | None = None,
        other_points: Sequence[str] | None = None,
        device: str = "cpu",
    ) -> None:
        """Takes names, aliases or patterns of points, None for all; those of the other cache are the same by default.

        Raises `UnknownName` with the nearest names; `UsageError` for a single point and for a `device` that is not
        there; `ProbeError` where the caches do not have the same samples, or too few.
        """
        self.cache, self.other, self.of = cache, other, of
        self.points = select_points(cache, points)
        named = points if other_points is None else other_points
        self.columns = self.points if other is None else select_points(other, named)
        if other is None and other_points is not None:
            raise UsageError("points of another cache were named with --other-points, but no cache with --other")
        if other is None and len(self.points) < 2:
            raise UsageError(f"{self.points[0]} alone was named; name at least two points, or another cache")
        self.samples = common_rows(cache, other)
        if of == "tokens" and other is not None:
            require_one_fit(cache, other)
        if of == "means" and len(self.samples) < 2:
            raise ProbeError(f"{cache.path} has one sample to compare; means over tokens need at least two")
        self._device = _device_of(device)
        self._sources = [open_source(cache, name) for name in self.points]
        if other is not None:
            self._sources += [open_source(other, name) for name in self.columns]
        self._rows = 0
        chosen = choose([cache.rows[rows[0]] for rows in self.samples])
        every = range(len(self._sources))
        self._chance = Chance(
            self._sources, [[self._row(self.samples[position], index) for index in every] for position in chosen], of
        )
        self._passes = _passes_of(self._pairs(), [source.width for source in self._sources])

    @property
    def steps(self) -> int:
        """Samples that are read, all passes together: what `advance` counts up to."""
        return len(self.samples) * len(self._passes) + len(self._chance.samples)

    def run(self, advance: Advance = silent) -> PointSimilarity:
        """Reads every sample once, those that are exchanged once more, and returns the similarities.

        The sums of very many pairs are taken in several passes, so that memory stays within `MOST_BYTES`, the features
        of a few samples apart.
        """
        squares: dict[Pair, float] = {}
        for pairs in self._passes:
            squares |= self._squares(pairs, advance)
        self._chance.read(self._device, advance)
        firsts, seconds = self._indices()
        values = [[linear_cka(squares, one, other) for other in seconds] for one in firsts]
        undefined = [self._sources[k].name for k in (*firsts, *seconds) if not 0 < squares[k, k] < math.inf]
        counts = [self._rows_of(source, index) for index, source in enumerate(self._sources)]
        caches = [self.cache] if self.other is None else [self.cache, self.other]
        return PointSimilarity(
            points=self.points,
            columns=self.columns,
            cka=matrix_of(np.array(values)),
            undefined=tuple(dict.fromkeys(undefined)),
            of=self.of,
            samples=len(self.samples),
            rows=self._rows,
            noise=noise_cka([source.width for source in self._sources], counts),
            tested_cka=self._chance.cka(firsts, seconds),
            debiased_cka=self._chance.debiased_cka(firsts, seconds),
            mutual_knn=self._chance.mutual_knn(firsts, seconds),
            neighbours=self._chance.neighbours,
            model=caches[0].fingerprint.get("model", {}),
            other_model=caches[-1].fingerprint.get("model", {}),
            dataset=self.cache.fingerprint.get("dataset", {}).get("name", ""),
            caches=tuple(cache.path for cache in caches),
        )

    def _indices(self) -> tuple[range, range]:
        """Indices of the rows' and of the columns' sources."""
        firsts = range(len(self.points))
        return firsts, firsts if self.other is None else range(len(self.points), len(self._sources))

    def _pairs(self) -> list[Pair]:
        """Pairs whose products are needed: CKA is symmetric, so that those within one cache are taken once."""
        firsts, seconds = self._indices()
        across = [(one, other) for one in firsts for other in seconds if one < other]
        return [*((index, index) for index in range(len(self._sources))), *across]

    def _squares(self, pairs: Sequence[Pair], advance: Advance) -> dict[Pair, float]:
        """One pass over the samples, with the points of these pairs alone; symmetric."""
        used = sorted({index for pair in pairs for index in pair})
        positions = {index: position for position, index in enumerate(used)}
        products = CrossProducts(
            [self._sources[index].width for index in used], [(positions[one], positions[other]) for one, other in pairs]
        )
        self._rows = 0
        samples = ahead(self.samples, lambda rows, _: self._read(rows, used))
        for batch in batches(samples, advance):
            self._rows += len(batch[0])
            for part in zip(*(torch.split(features, BATCH_ROWS) for features in batch), strict=True):
                products.add([features.to(self._device) for features in part])
        squares = {(used[one], used[other]): value for (one, other), value in products.squares().items()}
        return squares | {(other, one): value for (one, other), value in squares.items()}

    def _read(self, rows: tuple[int, int], used: Sequence[int]) -> list[Tensor]:
        """Features of one sample, [n, D] each: its tokens on the finest grid of all points, or their mean."""
        sources = [self._sources[index] for index in used]
        tokens = [read_tokens(source, self._row(rows, index)) for source, index in zip(sources, used, strict=True)]
        if self.of == "means":
            return [features.double().mean(0, keepdim=True) for features in tokens]
        grids = [source.grid(self._row(rows, index)) for index, source in enumerate(self._sources)]
        finest = max(grids, key=lambda grid: grid.tokens)
        own = (grids[index] for index in used)
        return [
            features if grid == finest else features[nearest(finest, grid)]
            for features, grid in zip(tokens, own, strict=True)
        ]

    def _row(self, rows: tuple[int, int], index: int) -> int:
        """Row of a sample in the cache of a source."""
        return rows[index >= len(self.points)]

    def _rows_of(self, source: Source, index: int) -> int:
        """Rows of features that a point has of its own, before they are repeated on a finer grid."""
        if self.of == "means":
            return len(self.samples)
        return sum(source.grid(self._row(rows, index)).tokens for rows in self.samples)


def _device_of(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is 'cuda', but torch finds none here; use 'auto' or 'cpu'")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def _passes_of(pairs: Sequence[Pair], widths: Sequence[int]) -> list[list[Pair]]:
    """Pairs in their order, divided so that the sums of a pass take no more than `MOST_BYTES`, or are of one pair."""
    passes: list[list[Pair]] = []
    free = 0
    for one, other in pairs:
        size = 8 * widths[one] * widths[other]
        if not passes or size > free:
            passes.append([])
            free = MOST_BYTES
        passes[-1].append((one, other))
        free -= size
    return passes
