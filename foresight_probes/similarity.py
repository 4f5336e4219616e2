"""Similarity between points: linear CKA of all pairs over the same samples, from one pass over the cache."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.features.batch_sampler import ahead
from foresight_probes.features.sources import Source, as_tensor, open_source
from foresight_probes.heads.layers.alignment import nearest
from foresight_probes.metrics.similarity_metrics import CrossProducts, Pair, linear_cka, noise_cka

Of = Literal["tokens", "means"]
"""Rows that are compared: each token of each sample, or the mean over the tokens of each sample."""

MOST_BYTES = 4 * 1024**3
"""Bytes of sums that a pass keeps at most; all pairs of eight points of 3,584 channels take less."""
BATCH_ROWS = 1024
"""Rows that are multiplied at once, as long as a sample has no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PointSimilarity:
    """Linear CKA between points of one cache, or between those of two caches of the same samples."""

    points: tuple[str, ...]
    """Points of the rows, in the order of computation."""
    columns: tuple[str, ...]
    """Points of the columns: the same, or those of the other cache."""
    cka: tuple[tuple[float | None, ...], ...]
    """One row for each of `points`, from 0 to 1; None where the features of a point do not vary."""
    undefined: tuple[str, ...]
    """Points whose features do not vary or are not finite."""
    of: Of
    samples: int
    rows: int
    """Rows of features that were compared: samples, or all tokens of the finest grid."""
    noise: float
    """Linear CKA that unrelated features of as many channels and rows show at most, on average."""
    model: Mapping[str, Any]
    """Model in the fingerprint of the cache."""
    other_model: Mapping[str, Any]
    """Model in the fingerprint of the other cache, or of the same one."""
    dataset: str
    caches: tuple[str, ...]
    """Paths of the caches, one or two."""

    @property
    def model_names(self) -> tuple[str, str]:
        """Names of the models of the rows and of the columns."""
        one, other = (str(model.get("name", "a model without a name")) for model in (self.model, self.other_model))
        return one, other

    def to_json(self) -> dict[str, Any]:
        """Returns the fields by name, of models their names alone; JSON has null where a value is not defined."""
        return {**asdict(self), "model": self.model_names[0], "other_model": self.model_names[1]}


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
        self.samples = _common_rows(cache, other)
        if of == "tokens" and other is not None:
            _require_one_fit(cache, other)
        if of == "means" and len(self.samples) < 2:
            raise ProbeError(f"{cache.path} has one sample to compare; means over tokens need at least two")
        self._device = _device(device)
        self._sources = [open_source(cache, name) for name in self.points]
        if other is not None:
            self._sources += [open_source(other, name) for name in self.columns]
        self._rows = 0
        self._passes = _passes(self._pairs(), [source.width for source in self._sources])

    @property
    def steps(self) -> int:
        """Samples that are read, all passes together: what `advance` counts up to."""
        return len(self.samples) * len(self._passes)

    def run(self, advance: Advance = silent) -> PointSimilarity:
        """Reads every sample once and returns the similarities.

        The sums of very many pairs are taken in several passes, so that memory stays within `MOST_BYTES`, the features
        of a few samples apart.
        """
        squares: dict[Pair, float] = {}
        for pairs in self._passes:
            squares |= self._squares(pairs, advance)
        firsts, seconds = self._indices()
        values = [[linear_cka(squares, one, other) for other in seconds] for one in firsts]
        undefined = [self._sources[k].name for k in (*firsts, *seconds) if not 0 < squares[k, k] < math.inf]
        counts = [self._rows_of(source, index) for index, source in enumerate(self._sources)]
        caches = [self.cache] if self.other is None else [self.cache, self.other]
        return PointSimilarity(
            points=self.points,
            columns=self.columns,
            cka=tuple(tuple(value if math.isfinite(value) else None for value in row) for row in values),
            undefined=tuple(dict.fromkeys(undefined)),
            of=self.of,
            samples=len(self.samples),
            rows=self._rows,
            noise=noise_cka([source.width for source in self._sources], counts),
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
        for batch in _batches(samples, advance):
            self._rows += len(batch[0])
            for part in zip(*(torch.split(features, BATCH_ROWS) for features in batch), strict=True):
                products.add([features.to(self._device) for features in part])
        squares = {(used[one], used[other]): value for (one, other), value in products.squares().items()}
        return squares | {(other, one): value for (one, other), value in squares.items()}

    def _read(self, rows: tuple[int, int], used: Sequence[int]) -> list[Tensor]:
        """Features of one sample, [n, D] each: its tokens on the finest grid of all points, or their mean."""
        sources = [self._sources[index] for index in used]
        tokens = [_tokens(source, self._row(rows, index)) for source, index in zip(sources, used, strict=True)]
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


def select_points(cache: Cache, texts: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the points that names, aliases or patterns mean, each once; all for None.

    They are in the order of computation, the pixels first. Raises `UnknownName` with the nearest names.
    """
    names = cache.points if texts is None else cache.select(texts)
    if not names:
        raise UsageError(f"no point was named; {cache.path} has {', '.join(cache.points)}")
    return tuple(sorted(names, key=lambda name: name != PIXELS))


def _common_rows(cache: Cache, other: Cache | None) -> list[tuple[int, int]]:
    """Rows of each sample in both caches, or twice that of one; samples that either has quarantined are left out."""
    second = cache if other is None else other
    ids, other_ids = ({row["id"]: index for index, row in enumerate(each.rows)} for each in (cache, second))
    if alone := ids.keys() ^ other_ids.keys():
        count = f"{len(alone):,} samples are" if len(alone) > 1 else "1 sample is"
        lack = "no sample in common" if not ids.keys() & other_ids.keys() else "not the same samples"
        raise ProbeError(
            f"{cache.path} and {second.path} have {lack}: {count} in one of them alone, such as {min(alone)}; "
            "compare caches that were extracted from the same shards"
        )
    rows = [(index, other_ids[name]) for name, index in ids.items()]
    usable = [pair for pair in rows if cache.rows[pair[0]]["status"] == second.rows[pair[1]]["status"] == "ok"]
    if not usable:
        raise ProbeError(f"{cache.path} has no sample that can be compared, of {len(rows)} that are committed")
    return usable


def _require_one_fit(cache: Cache, other: Cache) -> None:
    fits = [{row["fit"] for row in each.rows} for each in (cache, other)]
    if fits[0] != fits[1]:
        raise ProbeError(
            f"{cache.path} and {other.path} fit images into the input in other ways ({', '.join(*fits[:1])} and "
            f"{', '.join(*fits[1:])}), so that tokens lie elsewhere; compare means over tokens instead"
        )


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is 'cuda', but torch finds none here; use 'auto' or 'cpu'")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def _passes(pairs: Sequence[Pair], widths: Sequence[int]) -> list[list[Pair]]:
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


def _tokens(source: Source, row: int) -> Tensor:
    out_ND = np.empty((source.grid(row).tokens, source.width), source.dtype)
    source.read_into(row, out_ND, check=True)
    return as_tensor(out_ND)


def _batches(samples: Iterable[Sequence[Tensor]], advance: Advance) -> Iterator[list[Tensor]]:
    """Joins samples to at least `BATCH_ROWS` rows."""
    waiting: list[Sequence[Tensor]] = []
    for features in samples:
        waiting.append(features)
        if sum(len(each[0]) for each in waiting) >= BATCH_ROWS:
            yield _joined(waiting, advance)
            waiting = []
    if waiting:
        yield _joined(waiting, advance)


def _joined(samples: Sequence[Sequence[Tensor]], advance: Advance) -> list[Tensor]:
    advance(len(samples), sum(features.nbytes for sample in samples for features in sample))
    return [torch.cat(parts) for parts in zip(*samples, strict=True)]
