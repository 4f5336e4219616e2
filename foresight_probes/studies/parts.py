"""What a section of a study's report consists of, as data: tables, lines, scattered points and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from foresight_probes.results.result import Result
from foresight_probes.statistics.interval import Interval

Value = str | int | float | Interval | None
"""What a table's cell says; an interval is shown with its ends, None is left empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OfRuns:
    """What a cell says, with the runs that it was made of."""

    value: Value
    results: tuple[Result, ...]
    """Results of these runs, those of the row's own point first."""


Cell = Value | OfRuns
"""Content of a table's cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under headings, the first column of which names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    note: str = ""
    """What a reader must know of it, in sentences."""

    @property
    def values(self) -> tuple[tuple[Value, ...], ...]:
        """What the cells say, without the runs behind them."""
        return tuple(tuple(map(value_of, row)) for row in self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Values over numbers or over names, by one of which they are drawn."""

    name: str
    places: tuple[float, ...] | tuple[str, ...]
    values: tuple[Interval | float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Series over a common axis: of numbers, or of names in their order."""

    title: str
    across: str
    """What is drawn across, with its unit."""
    up: str
    """What is drawn upwards, with its unit."""
    series: tuple[Series, ...]
    is_log: bool = False
    """True for a logarithmic axis across."""
    limit: float | None = None
    """Value at which a dashed line is drawn."""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Points of a plane in classes."""

    title: str
    places: np.ndarray
    """float [N, 2]."""
    classes: np.ndarray
    """Numbers of classes, int [N], or values where classes have no names, float [N]."""
    names: tuple[str, ...] = ()
    """Names of classes by number; empty where `classes` are values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scatter:
    """Panels of points beside each other."""

    title: str
    panels: tuple[Panel, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatMap:
    """Shares over two lists of names."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values_RC: np.ndarray
    """float [R, C], 0 to 1; NaN where there is none."""
    meaning: str
    """What a value is."""
    across: str
    down: str
    """What columns and rows are."""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A small picture with a line under it."""

    pixels: np.ndarray
    """uint8 [H, W, 3]."""
    caption: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Rows of pictures, each with a name."""

    title: str
    rows: Mapping[str, tuple[Picture, ...]]
    note: str = ""


Part = Table | Lines | Scatter | HeatMap | Pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A section of a report, or the reason why there is nothing in it."""

    name: str
    title: str
    parts: tuple[Part, ...] = ()
    reason: str = ""
    """Why nothing of it is measured, in words; empty where something is."""


def value_of(cell: Cell) -> Value:
    """Returns what a cell says, without the runs behind it."""
    return cell.value if isinstance(cell, OfRuns) else cell


def of_runs(value: Value, *results: Result) -> Cell:
    """Returns a cell with the runs that it was made of; one that is empty or has words in it is of none."""
    return value if value is None or isinstance(value, str) or not results else OfRuns(value=value, results=results)
