"""Points of a cache as a map-style dataset of torch, for loaders and training loops of a user's own."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any, NotRequired, Protocol, TypeAlias, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from foresight_cache.errors import UnknownName, UsageError
from foresight_cache.sample_selection import SampleNumbers, Selection
from foresight_cache.sample_table import COLUMNS, SampleTableRow
from foresight_cache.samples import Grid

WHOLE_SAMPLE = "sample"
"""Name, beside those of columns, of a target that is the sample's record itself."""

Target: TypeAlias = str | Callable[[SampleTableRow], Any] | Mapping[int, Any] | None
"""Column of the sample table, or `sample` for its whole row; a function of that row; or answers by number of the row.
None for no target."""


class ReadableTable(Protocol):
    """A cache, as far as a dataset needs it."""

    path: str

    @property
    def numbers(self) -> SampleNumbers: ...

    @property
    def rows(self) -> Sequence[SampleTableRow]: ...


class ReadablePoint(Protocol):
    """A cached point, as far as a dataset needs it."""

    name: str

    @property
    def cache(self) -> ReadableTable: ...

    def grid_of(self, sample: int) -> Grid: ...

    def torch(self, samples: int) -> Tensor: ...


class CacheItem(TypedDict):
    """One sample."""

    features: dict[str, Tensor]
    """Tokens by point, [N, D] in raster order."""
    grids: dict[str, Tensor]
    """Grid on which these tokens lie, by point: t, h and w, int64 [3]."""
    row: int
    """Number of the sample's row in `cache.samples`."""
    id: str
    target: NotRequired[Any]


class CacheBatch(TypedDict):
    """Several samples, of one grid or of several."""

    features: dict[str, Tensor]
    """Tokens by point, [B, N, D], with zeros behind those of samples that have fewer than others."""
    mask: dict[str, Tensor]
    """[B, N] bool by point: True for a token, False for padding."""
    grids: dict[str, Tensor]
    """t, h and w, int64 [B, 3] by point."""
    row: Tensor
    """Numbers of the samples' rows in `cache.samples`, int64 [B]."""
    id: list[str]
    target: NotRequired[Any]
    """A tensor [B, …] where targets are numbers or arrays of one shape, else a list of B."""


class CacheDataset(Dataset[CacheItem]):
    """Samples with their tokens at some points, read when they are asked for; quarantined samples are left out.

    It can be sent to other processes, and so works in a `DataLoader` with workers, however these are started: targets
    are computed here, once, so that a function need not be sent. Items of one grid are put in batches by torch's own
    `default_collate`; `collate` pads those of several, and says in a mask where there is a token.
    """

    def __init__(
        self,
        points: Sequence[ReadablePoint],
        samples: Selection = ...,
        *,
        target: Target = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Takes points of one cache, and samples as `Cache.to_torch_dataset` does; raises what that raises."""
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise UsageError(
                f"dtype is {dtype!r}, expected a type of floats such as torch.bfloat16, or None for float32"
            )
        self._points, self._cache = {point.name: point for point in points}, points[0].cache
        self._dtype = dtype or torch.float32
        found = self._cache.numbers.find(samples)
        rows = [found] if isinstance(found, int) else found
        usable = [row for row in rows if self._cache.rows[row]["status"] == "ok"]
        self._targets = None if target is None else _targets(target, usable, self._cache.rows)
        having = None if self._targets is None else set(self._targets)
        self.rows = tuple(row for row in usable if having is None or row in having)
        """Numbers of the rows of `cache.samples` that its items are."""
        if not self.rows:
            why = "quarantined" if not usable else "without a target"
            raise UsageError(f"no sample is left of {self._cache.path}: all that were chosen are {why}; choose others")

    @property
    def points(self) -> tuple[str, ...]:
        """Names of the points, in the order of computation."""
        return tuple(self._points)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the samples that its items are."""
        return tuple(self._cache.rows[row]["id"] for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> CacheItem:
        """Returns one sample. Raises `IndexError`, and `CorruptCache` where bytes are not those that were written."""
        row = self.rows[index]
        item: CacheItem = {
            "features": {name: self._tokens(point, row) for name, point in self._points.items()},
            "grids": {name: torch.tensor(point.grid_of(row)) for name, point in self._points.items()},
            "row": row,
            "id": self._cache.rows[row]["id"],
        }
        return item if self._targets is None else {**item, "target": self._targets[row]}

    def __repr__(self) -> str:
        return f"<dataset of {len(self)} samples at {', '.join(self.points)} of {self._cache.path}>"

    def _tokens(self, point: ReadablePoint, row: int) -> Tensor:
        tokens_ND = point.torch(row)
        return tokens_ND.to(self._dtype) if tokens_ND.is_floating_point() else tokens_ND

    @staticmethod
    def collate(items: Sequence[CacheItem]) -> CacheBatch:
        """Puts samples in a batch, padded to the longest; give it to a `DataLoader` as its `collate_fn`."""
        names = items[0]["features"]
        tokens = {name: [item["features"][name] for item in items] for name in names}
        lengths = {name: torch.tensor([len(own) for own in every]) for name, every in tokens.items()}
        batch: CacheBatch = {
            "features": {name: pad_sequence(every, batch_first=True) for name, every in tokens.items()},
            "mask": {name: torch.arange(int(own.max())) < own[:, None] for name, own in lengths.items()},
            "grids": {name: torch.stack([item["grids"][name] for item in items]) for name in names},
            "row": torch.tensor([item["row"] for item in items]),
            "id": [item["id"] for item in items],
        }
        return {**batch, "target": _gathered([item["target"] for item in items])} if "target" in items[0] else batch


def _targets(target: Target, rows: Sequence[int], table: Sequence[SampleTableRow]) -> Mapping[int, Any]:
    """Returns targets by number of the row; those that are None are left out."""
    if isinstance(target, Mapping):
        return target
    if isinstance(target, str):
        target = _column(target)
    if not callable(target):
        raise UsageError(
            f"target is {target!r}, expected a column of cache.samples, a function of its rows, or answers by row"
        )
    return {row: answer for row in rows if (answer := target(table[row])) is not None}


def _column(name: str) -> Callable[[SampleTableRow], Any]:
    """Returns the function that reads a column. Raises `UnknownName`."""
    if name == WHOLE_SAMPLE:
        return lambda row: row
    if name not in COLUMNS:
        raise UnknownName("column of cache.samples", name, [*COLUMNS, WHOLE_SAMPLE])
    return lambda row: row[name]  # type: ignore[literal-required]


def _gathered(targets: Sequence[Any]) -> Any:
    """Returns one tensor where targets are numbers or arrays of one shape, else them as they are.

    >>> _gathered([1.5, 2.5]), _gathered([torch.zeros(2), torch.ones(2)]).shape, _gathered(["a", "b"])
    (tensor([1.5000, 2.5000]), torch.Size([2, 2]), ['a', 'b'])
    """
    if all(isinstance(target, Number) for target in targets):
        return torch.tensor(targets)
    if not all(isinstance(target, Tensor | np.ndarray) for target in targets):
        return list(targets)
    tensors = [torch.as_tensor(target) for target in targets]
    return torch.stack(tensors) if len({target.shape for target in tensors}) == 1 else tensors
