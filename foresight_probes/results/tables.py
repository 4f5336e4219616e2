"""Rows of runs, filtered and sorted, and their cells as text."""

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from foresight_cache.errors import UnknownName, UsageError

DEFAULT = ("task", "point", "run", "metric", "value", "low", "high", "n", "chance", "validation", "epoch")
"""Columns that are shown unless others are named."""

Row = Mapping[str, Any]

_CONDITION = re.compile(r"\s*([\w.@:-]+)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def select(rows: Sequence[Row], *, where: Sequence[str], sort: Sequence[str]) -> list[Row]:
    """Returns the rows that fulfil all conditions, sorted by columns; `-value` is the largest first.

    A column exists where any row has it. What is asked of `point` may be an alias that a row has as `alias`.

    Rows without a value fulfil no condition on it and come last.

    Raises `UsageError` for text that is not a condition, and `UnknownName` for a column that no row has.

    >>> rows = [{"head": "mlp", "value": 0.5}, {"head": "linear", "value": 0.7}, {"head": "mlp", "value": 0.6}]
    >>> [row["value"] for row in select(rows, where=["head=m*"], sort=["-value"])]
    [0.6, 0.5]
    """
    known = dict.fromkeys(name for row in rows for name in row)
    selected = [row for row in rows if all(_fulfils(row, condition, known) for condition in where)]
    for column in reversed(sort):
        name, falling = column.removeprefix("-"), column.startswith("-")
        _require(name or column, known)
        selected.sort(key=lambda row: _key(row.get(name)), reverse=falling)
        selected.sort(key=lambda row: row.get(name) is None)
    return selected


def require_columns(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Raises `UnknownName` for a column that none of these rows has."""
    known = dict.fromkeys(name for row in rows for name in row)
    for name in columns:
        _require(name, known)


def cells(rows: Sequence[Row], columns: Sequence[str]) -> list[list[str]]:
    """Returns the texts of these columns in each row, empty where it has none.

    >>> cells([{"head": "mlp", "value": 0.51234}, {"head": "ridge"}], ["head", "value"])
    [['mlp', '0.512'], ['ridge', '']]
    """
    return [[_text(row.get(name)) for name in columns] for row in rows]


def _fulfils(row: Row, condition: str, known: Mapping[str, Any]) -> bool:
    match = _CONDITION.fullmatch(condition)
    if not match:
        raise UsageError(f"{condition!r} is not a condition; write for example task=boxes or value>0.5")
    name, sign, text = match.groups()
    _require(name, known)
    value = row.get(name)
    if value is None:
        return False
    number = _number(text)
    if sign in ("=", "!="):
        values = [value, row["alias"]] if name == "point" and row.get("alias") else [value]
        return any(_same(own, text) for own in values) == (sign == "=")
    if number is None or isinstance(value, str):
        raise UsageError(f"{condition!r} compares text; use = or != with {name}")
    return _COMPARISONS[sign](value, number)


def _same(value: Any, text: str) -> bool:
    number = _number(text)
    return bool(value == number) if number is not None else fnmatch.fnmatchcase(str(value), text)


def _require(name: str, known: Mapping[str, Any]) -> None:
    if known and name not in known:
        raise UnknownName("column", name, known)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _key(value: Any) -> tuple[int, Any]:
    return (1, value) if isinstance(value, str) else (0, value or 0)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e-3 or abs(value) >= 1e4 else f"{value:.3f}"
    return "" if value is None else str(value)
