"""Which samples are meant: one by number or id, or several by a slice, a mask or a list, as in numpy and pandas.

Several come in the order in which they are named, and those of a mask in the order of the cache. What could be read in
two ways is refused.
"""

import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from types import EllipsisType
from typing import Any, Protocol, SupportsIndex, TypeAlias, TypeGuard, runtime_checkable

import numpy as np

from foresight_cache.errors import NoSuchSample, UsageError

Selection: TypeAlias = SupportsIndex | str | slice | EllipsisType | Iterable[Any]
"""One sample by number (negative from the end) or id; several by a slice, or by a mask, numbers or ids in a list, a
tuple, a range, an array of numpy, torch, pandas or xarray, or any other iterable with an order."""

_EXPECTED = "expected a number, an id, a slice, a mask, or a list of numbers or ids such as the index of a table"


@runtime_checkable
class _Listable(Protocol):
    """What gives its items as plain values of Python: arrays of numpy, torch and pandas, and their scalars."""

    def tolist(self) -> Any: ...


@runtime_checkable
class _ArrayLike(Protocol):
    """What numpy can make an array of, such as a `DataArray` of xarray."""

    def __array__(self, dtype: Any = None) -> np.ndarray: ...


class SampleNumbers:
    """The samples of a cache, by number from 0 on and by id."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self._ids)}

    def one(self, selection: Selection) -> int:
        """Returns the number of the one sample that is meant. Raises `NoSuchSample` and `UsageError`.

        >>> SampleNumbers(["a", "b", "c"]).one(-1)
        2
        """
        if type(selection) is int and 0 <= selection < len(self._ids):  # what loops ask for, at no cost
            return selection
        found = self.find(selection)
        if not isinstance(found, int):
            raise UsageError(f"{_shown(selection)} means several samples, expected one, by its number or id")
        return found

    def find(self, selection: Selection) -> int | Sequence[int]:
        """Returns the number of one sample, or those of several. Raises `NoSuchSample` and `UsageError`.

        >>> numbers = SampleNumbers(["a", "b", "c"])
        >>> numbers.find("b"), numbers.find(["c", "a"]), numbers.find([True, False, True]), numbers.find([-1])
        (1, [2, 0], [0, 2], [2])
        >>> numbers.find(slice(1, None))
        range(1, 3)
        """
        if isinstance(selection, slice):
            return self._slice(selection)
        if selection is Ellipsis:
            return range(len(self._ids))
        _check_order(selection, self._ids)
        plain = _plain(selection)
        return self._several(plain, selection) if isinstance(plain, list) else self._number(plain)

    def _slice(self, selection: slice) -> range:
        try:
            return range(len(self._ids))[selection]
        except (TypeError, ValueError):
            raise UsageError(f"{selection} is no selection of samples, expected whole numbers in a slice") from None

    def _several(self, items: list[Any], selection: Selection) -> list[int]:
        count = len(self._ids)
        if items and all(isinstance(item, bool) for item in items):
            if len(items) != count:
                raise UsageError(
                    f"the mask has length {len(items)} and there are {count} samples, expected a truth value for each; "
                    "make it from all rows of cache.samples"
                )
            return [number for number, chosen in enumerate(items) if chosen]
        if not (all(isinstance(item, str) for item in items) or all(map(_is_number, items))):
            raise UsageError(f"{_shown(selection)} is no selection of samples; {_EXPECTED}")
        if len(items) == count > 2 and set(items) == {0, 1}:
            raise UsageError(
                f"{_shown(selection)} has only the numbers 0 and 1, one for each sample, which looks like a mask; "
                "make it one of truth values, as by .astype(bool)"
            )
        return [self._number(item) for item in items]

    def _number(self, item: Any) -> int:
        if isinstance(item, str):
            return self._named(item)
        if not _is_number(item):
            raise UsageError(f"{_shown(item)} names no sample; {_EXPECTED}")
        number, count = item.__index__(), len(self._ids)
        if not -count <= number < count:
            raise NoSuchSample(f"there is no sample {number} of {count}; they count from 0, and from the end with -1")
        return number % count

    def _named(self, name: str) -> int:
        if name not in self._by_id:
            near = [known for known in self._ids if name and name in known]
            hint = f"did you mean {near[0]!r}?" if near else f"ids are such as {next(iter(self._ids), 'none')!r}"
            raise NoSuchSample(f"there is no sample {name!r} of {len(self._ids)}; {hint}")
        return self._by_id[name]


def _is_number(item: object) -> TypeGuard[SupportsIndex]:
    return isinstance(item, SupportsIndex) and not isinstance(item, bool)


def _plain(selection: Any) -> Any:
    """Returns a list of plain values of Python, or one such value."""
    if isinstance(selection, str | bytes | SupportsIndex) and not isinstance(selection, _Listable):
        return selection
    if isinstance(selection, _Listable):
        return selection.tolist()
    if isinstance(selection, _ArrayLike):
        return np.asarray(selection).tolist()
    if isinstance(selection, Iterable) and not isinstance(selection, set | frozenset | dict):
        return [_plain(item) for item in selection]
    raise UsageError(f"{_shown(selection)} is no selection of samples; {_EXPECTED}")


def _check_order(selection: Any, ids: Sequence[str]) -> None:
    """Raises `UsageError` for a mask whose own index says that its rows are in another order than the cache's."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(selection, pandas.Series) or len(selection) != len(ids):
        return
    if not pandas.api.types.is_bool_dtype(selection.dtype):
        return
    index = list(selection.index)
    if any(index != list(own) and set(index) == set(own) for own in (range(len(ids)), ids)):
        raise UsageError(
            "this mask has the rows of cache.samples in another order, as after sort_values; bring them back with "
            "mask.sort_index(), or give mask.to_numpy() where this order is meant"
        )


def _shown(selection: Any) -> str:
    """Returns a short text of what was given.

    >>> _shown([True, 2]), _shown({"a": 1})
    ('[True, 2] (list)', "{'a': 1} (dict)")
    """
    text = " ".join(repr(selection).split())
    return f"{text if len(text) <= 60 else f'{text[:57]}…'} ({type(selection).__name__})"
