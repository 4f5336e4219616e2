"""Several folders of runs on one page: their names, and the results of a task beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_probes.report.page import Page, Section
from foresight_probes.report.run_links import RunLinks
from foresight_probes.results.result import format_interval
from foresight_probes.statistics.interval import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of runs."""

    name: str
    """As much of its path as tells it from the others."""
    page: Page

    def section(self, task: str) -> Section | None:
        """Returns its results of a task."""
        return next((own for own in self.page.sections if own.task == task), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A number of a folder, or nothing where it has no such run."""

    text: str = ""
    doubt: str = ""
    """Why it says nothing."""
    address: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A head on a point in all folders."""

    point: str
    head: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenLine:
    """A folder's metric over points, of the head that its validation split chooses at each."""

    folder: str
    values: Mapping[str, Interval]
    """By point."""
    chance: Interval | None
    """Metric of the mean predictor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """A metric of several folders beside each other."""

    metric: str
    folders: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: str
    points: tuple[str, ...]
    lines: tuple[ChosenLine, ...]
    """What is drawn."""
    svg: str
    picture: str
    """Path of the figure from the report's folder."""


def names_of(folders: Sequence[Path]) -> list[str]:
    """Returns as much of the end of each path as tells it from the others. Raises `ProbeError` for one named twice.

    >>> names_of([Path("runs/a"), Path("runs/b")]), names_of([Path("a/runs"), Path("b/runs")])
    (['a', 'b'], ['a/runs', 'b/runs'])
    """
    whole = [folder.resolve().parts for folder in folders]
    for number, parts in enumerate(whole):
        if parts in whole[:number]:
            raise ProbeError(f"the folder {folders[number]} is named twice; name each folder of runs once")
    for count in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-count:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


def rows_beside(sections: Sequence[Section | None], links: RunLinks) -> tuple[Row, ...]:
    """Returns the first metric of a task, a row for each head on each point and a cell for each folder."""
    found = [own for own in sections if own is not None]
    heads = sorted({head for own in found for head in own.heads})
    rows = [
        Row(point=point, head=head, cells=tuple(_cell(own, point, head, links) for own in sections))
        for point in points_of(found)
        for head in heads
    ]
    return tuple(row for row in rows if any(cell.text for cell in row.cells))


def points_of(sections: Sequence[Section]) -> tuple[str, ...]:
    """Returns the points of several folders in the order of computation, the pixels first."""
    order: dict[str, int] = {}
    for result in (result for own in sections for result in own.results):
        order[result.point] = min(order.get(result.point, result.point_index), result.point_index)
    return tuple(sorted(order, key=lambda point: (point != PIXELS, order[point])))


def chosen_line(folder: str, section: Section) -> ChosenLine:
    """Returns a folder's line, whose head is chosen at each point by the mean of its validation over seeds."""
    values = {}
    for point in points_of([section]):
        head = max(section.heads, key=lambda head: _validation(section, point, head))
        interval = section.at(point, head)
        if interval is not None:
            values[point] = interval
    return ChosenLine(folder=folder, values=values, chance=section.chance)


def differing(sections: Sequence[Section]) -> str:
    """Tells in words which samples differ between folders, so that their numbers may differ for that alone."""
    first = [(*own.results, *own.constant)[0] for own in sections]
    datasets = {str(result.cache.get("data")) for result in first}
    splits = {str(result.split.get("digest")) for result in first}
    what = [name for name, values in (("prepared data", datasets), ("splits", splits)) if len(values) > 1]
    if what:
        return f"The folders have different {' and '.join(what)}: numbers may differ for that reason alone."
    return "All folders have the same test samples; 'foresight compare' tests the differences between two of them."


def _validation(section: Section, point: str, head: str) -> float:
    values = [own.validation["value"] for own in section.results if (own.point, own.head) == (point, head)]
    return sum(values) / len(values) if values else float("-inf")


def _cell(section: Section | None, point: str, head: str, links: RunLinks) -> Cell:
    interval = section.at(point, head) if section else None
    if section is None or interval is None:
        return Cell()
    first = next(own for own in section.results if (own.point, own.head) == (point, head))
    return Cell(text=format_interval(interval), doubt=section.doubt(point, head), address=links.to(first))
