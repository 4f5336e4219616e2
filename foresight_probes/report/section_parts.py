"""Sections of a study's report as a page shows them: figures drawn, pictures compressed, cells as text."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from foresight_probes.report.figures import heat_map, lines, scatter
from foresight_probes.report.run_links import RunLinks
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.criteria import format_value
from foresight_probes.studies.parts import Cell, HeatMap, Lines, OfRuns, Part, Pictures, Scatter, Shown, Table, value_of

QUALITY = 80
"""Quality of WebP pictures in the page, of 100."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnPicture:
    """A picture as text of a page."""

    source: str
    """`data:` address with its compressed bytes."""
    width: int
    height: int
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnCell:
    """A cell as text, with the file of its run and the command that makes it; these are empty where it is of none."""

    text: str
    address: str = ""
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnPart:
    """A part, of which only the fields of its `kind` are filled: table, figure or pictures."""

    kind: str
    title: str = ""
    note: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[DrawnCell, ...], ...] = ()
    numbers: tuple[bool, ...] = ()
    """True for columns of numbers, which are set to the right."""
    is_linked: bool = False
    """True for tables of which some cells lead to their runs."""
    svg: str = ""
    file: str = ""
    """Path of a PNG from the report's folder, for pages that embed no figures."""
    pictures: Mapping[str, tuple[DrawnPicture, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnSection:
    """A section, or the reason why there is nothing in it."""

    name: str
    title: str
    reason: str
    parts: tuple[DrawnPart, ...]


def drawn(sections: Sequence[Shown], folder: str, links: RunLinks) -> list[DrawnSection]:
    """Draws the figures of sections into a folder beside the page, and returns what the templates show."""
    return [
        DrawnSection(
            name=own.name,
            title=own.title,
            reason=own.reason,
            parts=tuple(_drawn(part, f"{folder}/{own.name}-{number}", links) for number, part in enumerate(own.parts)),
        )
        for own in sections
    ]


def _drawn(part: Part, stem: str, links: RunLinks) -> DrawnPart:
    title, note, out = part.title, part.note, links.out
    match part:
        case Table():
            return _table(part, links)
        case Lines() | Scatter() | HeatMap():
            svg = _figure(part, out / stem)
            return DrawnPart(kind="figure", svg=svg, file=f"{stem}.png", pictures={}, title=title, note=note)
        case Pictures():
            sheet = f"{stem}.png"
            Image.fromarray(contact_sheet(part)).save(out / sheet)
            rows = {
                name: tuple(_compressed(picture.pixels, picture.caption) for picture in row)
                for name, row in part.rows.items()
            }
            return DrawnPart(kind="pictures", file=sheet, pictures=rows, title=title, note=note)


def _figure(part: Lines | Scatter | HeatMap, stem: Path) -> str:
    match part:
        case Lines():
            return lines.draw(part, stem)
        case Scatter():
            return scatter.draw(part, stem)
        case HeatMap():
            return heat_map.draw_part(part, stem)


def _table(part: Table, links: RunLinks) -> DrawnPart:
    shown = tuple(tuple(_cell(cell, links) for cell in row) for row in part.rows)
    return DrawnPart(
        kind="table",
        columns=part.columns,
        rows=shown,
        numbers=tuple(
            all(row[column] is None or isinstance(row[column], int | float) for row in part.values)
            for column in range(len(part.columns))
        ),
        is_linked=any(cell.address for row in shown for cell in row),
        pictures={},
        title=part.title,
        note=part.note,
    )


def _cell(cell: Cell, links: RunLinks) -> DrawnCell:
    if not isinstance(cell, OfRuns) or not (address := links.to(cell.results[0])):
        return DrawnCell(text=cell_text(cell))
    return DrawnCell(text=cell_text(cell), address=address, command=links.commands(cell.results))


def cell_text(cell: Cell) -> str:
    """Returns a cell as people read it.

    >>> cell_text(Interval(0.5, 0.25, 0.75)), cell_text(1234), cell_text(0.12345), cell_text(None)
    ('0.500 (0.250–0.750)', '1,234', '0.123', '')
    """
    match value_of(cell):
        case None:
            return ""
        case Interval() as interval:
            return format_value(interval)
        case bool() | str() as text:
            return str(text)
        case int() as count:
            return f"{count:,}"
        case float() as value:
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def contact_sheet(pictures: Pictures) -> np.ndarray:
    """Returns all pictures of all rows on white, uint8 [H, W, 3], a row of pictures under the other."""
    gap = 4
    rows = [[picture.pixels for picture in row] for row in pictures.rows.values() if row]
    heights = [max(own.shape[0] for own in row) for row in rows]
    width = max(sum(own.shape[1] + gap for own in row) for row in rows)
    sheet = np.full((sum(heights) + gap * len(rows), width, 3), 255, np.uint8)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for own in row:
            sheet[top : top + own.shape[0], left : left + own.shape[1]] = own
            left += own.shape[1] + gap
        top += height + gap
    return sheet


def _compressed(pixels: np.ndarray, caption: str) -> DrawnPicture:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=QUALITY, method=4)
    text = base64.b64encode(buffer.getvalue()).decode()
    height, width = pixels.shape[:2]
    return DrawnPicture(source=f"data:image/webp;base64,{text}", width=width, height=height, caption=caption)
