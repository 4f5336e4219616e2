"""Slides as PDF: text, tables, figures and pictures are laid out on pages, and go on where one is full."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D

from foresight_probes.report.figures.style import GREY, INK, STYLE

WIDTH, HEIGHT = 720.0, 405.0
"""Size of a page in points: 10 × 5.625 inches, which is 16:9."""
LEFT, TOP, BOTTOM = 36.0, 30.0, 30.0
"""Margins in points; the foot stands in the lowest one."""
LINE = 1.32
"""Distance of lines, in sizes of the font."""
LARGEST, SMALLEST = 10.5, 8.0
"""Sizes of the font of tables, in points; cells that are longer yet are wrapped."""
MOST_COLUMNS = 8
"""Columns beside each other; the others follow below, with the first one repeated."""
MOST_HEADING = 5
"""Lines of the heading of a page or of a column, at most; what is longer ends in dots."""
_GAP = 8.0
_PICTURE = 84.0
"""Width of a picture in points, at most."""


@dataclass(frozen=True, slots=True)
class Words:
    """Text of a cell."""

    text: str
    bold: bool = False
    struck: bool = False
    """True where it is struck through."""


class Deck:
    """Slides with a title at their foot."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._pages: list[Figure] = []
        self._heading = ""
        self._y = 0.0

    def page(self, heading: str, *, size: float = 19.0) -> None:
        """Starts a page with a heading, which is wrapped."""
        self._heading = heading
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        self._pages.append(figure)
        self._y = HEIGHT - TOP
        lines = wrapped(heading, size, WIDTH - 2 * LEFT, bold=True)
        while len(lines) > 2 and size > 11:
            size -= 1
            lines = wrapped(heading, size, WIDTH - 2 * LEFT, bold=True)
        for line in _first(lines, MOST_HEADING):
            self._y -= size
            self._write(line, LEFT, size, bold=True)
            self._y -= size * (LINE - 1)
        self._y -= 8

    def paragraph(self, text: str, *, lead: str = "", size: float = 11.5, grey: bool = False) -> None:
        """Writes a text, with a bold line before it."""
        if lead:
            self._room(2 * size * LINE)
            self._line(lead, size, bold=True)
        for line in wrapped(text, size, WIDTH - 2 * LEFT) if text else ():
            self._line(line, size, grey=grey)
        self._y -= 0.55 * size

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str | Words]]) -> None:
        """Writes a table; a cell that is too long is wrapped, and a table goes on with its heading on the next page."""
        for start in range(1, max(2, len(columns)), MOST_COLUMNS - 1):
            chosen = [0, *range(start, min(start + MOST_COLUMNS - 1, len(columns)))]
            self._table(
                [columns[column] for column in chosen],
                [[_words(row[column]) for column in chosen] for row in rows],
            )

    def figure(self, plot: Callable[[FigureBase], None]) -> None:
        """Draws a figure into the rest of the page, or of the next one where less than half is left."""
        if self._y - BOTTOM < 0.5 * HEIGHT:
            self.page(_continued(self._heading))
        figure = self._pages[-1]
        low = BOTTOM + 6
        rectangle = (LEFT / WIDTH, low / HEIGHT, (WIDTH - 2 * LEFT) / WIDTH, (self._y - low) / HEIGHT)
        figure.set_layout_engine("constrained", rect=rectangle)
        with mpl.rc_context(STYLE):
            plot(figure)
        self._y = BOTTOM

    def pictures(self, name: str, pictures: Sequence[tuple[np.ndarray, str]]) -> None:
        """Lays out pictures, uint8 [H, W, 3] with a caption, in rows under a name."""
        across = int((WIDTH - 2 * LEFT + _GAP) // (_PICTURE + _GAP))
        for start in range(0, len(pictures), across):
            row = pictures[start : start + across]
            heights = [_PICTURE * own.shape[0] / own.shape[1] for own, _ in row]
            captions = [wrapped(caption, 7, _PICTURE)[:3] for _, caption in row]
            below = max(map(len, captions)) * 7 * LINE
            tallest = min(max(heights), HEIGHT / 2)
            self._room(tallest + below + 26)
            if name and start == 0:
                self._line(name, 9, bold=True)
            top = self._y - 3
            for place, ((pixels, _), caption) in enumerate(zip(row, captions, strict=True)):
                left = LEFT + place * (_PICTURE + _GAP)
                self._picture(pixels, left, top, tallest)
                for number, line in enumerate(caption):
                    self._y = top - tallest - (number + 1) * 7 * LINE
                    self._write(line, left, 7)
            self._y = top - tallest - below - 8

    def save(self, written: date | None) -> bytes:
        """Returns the PDF, whose bytes depend on the pages and the day alone."""
        buffer = io.BytesIO()
        created = datetime(written.year, written.month, written.day) if written else None
        facts: dict[str, Any] = {"Title": self.title, "CreationDate": created, "Creator": None, "Producer": None}
        with mpl.rc_context({**STYLE, "pdf.fonttype": 3}), PdfPages(buffer, metadata=facts) as pdf:
            for number, figure in enumerate(self._pages, start=1):
                self._foot(figure, number)
                pdf.savefig(figure)
        return buffer.getvalue()

    def _foot(self, figure: Figure, number: int) -> None:
        title = wrapped(self.title, 7.5, WIDTH - 2 * LEFT - 60)
        texts = ((LEFT, title[0] + (" …" if len(title) > 1 else ""), "left"), (WIDTH - LEFT, str(number), "right"))
        for x, text, side in texts:
            figure.text(
                x / WIDTH, 14 / HEIGHT, text, size=7.5, color=GREY, ha=side, parse_math=False, family="DejaVu Sans"
            )

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[Words]]) -> None:
        size, widths = _fitted(columns, rows)
        heading = [Words(name, bold=True) for name in columns]
        self._room(3 * size * LINE + 10)
        self._row(heading, widths, size, heading=None)
        for row in rows:
            self._row(row, widths, size, heading=heading)
        self._y -= size

    def _row(self, row: Sequence[Words], widths: Sequence[float], size: float, heading: Sequence[Words] | None) -> None:
        """Writes a row as far as the page reaches, and the rest of its lines on the next."""
        cells = [wrapped(own.text, size, width - _GAP, bold=own.bold) for own, width in zip(row, widths, strict=True)]
        if heading is None:
            cells = [_first(lines, MOST_HEADING) for lines in cells]
        rest = max(map(len, cells))
        start = 0
        while rest > 0:
            fits = int((self._y - BOTTOM - 6) // (size * LINE))
            if fits < min(rest, 4):
                self.page(_continued(self._heading))
                if heading is not None:
                    self._row(heading, widths, size, heading=None)
                continue
            count = min(rest, fits)
            top = self._y
            x = LEFT
            for own, lines, width in zip(row, cells, widths, strict=True):
                for number, line in enumerate(lines[start : start + count]):
                    self._y = top - size - number * size * LINE
                    self._write(line, x, size, bold=own.bold, struck=own.struck)
                x += width
            self._y = top - count * size * LINE - 3
            start, rest = start + count, rest - count
        self._rule()
        self._y -= 3

    def _line(self, text: str, size: float, *, bold: bool = False, grey: bool = False) -> None:
        self._room(size * LINE)
        self._y -= size
        self._write(text, LEFT, size, bold=bold, grey=grey)
        self._y -= size * (LINE - 1)

    def _room(self, height: float) -> None:
        if self._y - height < BOTTOM:
            self.page(_continued(self._heading))

    def _write(
        self, text: str, x: float, size: float, *, bold: bool = False, grey: bool = False, struck: bool = False
    ) -> None:
        """Writes one line whose foot is at the present height."""
        figure = self._pages[-1]
        figure.text(
            x / WIDTH, self._y / HEIGHT, text, size=size, weight="bold" if bold else "normal", va="baseline",
            color=GREY if grey else INK, parse_math=False, family="DejaVu Sans",
        )  # fmt: skip
        if struck and text:
            self._stroke(x, x + width_of(text, size, bold=bold), self._y + 0.3 * size, INK)

    def _rule(self) -> None:
        self._stroke(LEFT, WIDTH - LEFT, self._y, "#DDDDDD")

    def _stroke(self, left: float, right: float, y: float, colour: str) -> None:
        figure = self._pages[-1]
        across, down = [left / WIDTH, right / WIDTH], [y / HEIGHT, y / HEIGHT]
        figure.add_artist(Line2D(across, down, color=colour, lw=0.6))

    def _picture(self, pixels: np.ndarray, left: float, top: float, tallest: float) -> None:
        height, width = pixels.shape[:2]
        scale = min(_PICTURE / width, tallest / height)
        box = (left / WIDTH, (top - scale * height) / HEIGHT, scale * width / WIDTH, scale * height / HEIGHT)
        axes = self._pages[-1].add_axes(box)
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()


def wrapped(text: str, size: float, width: float, *, bold: bool = False) -> list[str]:
    """Returns the lines of a text that is `width` points wide at most; a word that is longer is broken.

    >>> wrapped("one two", 10, 25), wrapped("", 10, 25)
    (['one', 'two'], [''])
    """
    lines, line = [], ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if width_of(joined, size, bold=bold) <= width + 0.01:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while width_of(line, size, bold=bold) > width and len(line) > 1:
            count = _fitting(line, size, width, bold=bold)
            lines.append(line[:count])
            line = line[count:]
    return [*lines, line]


@lru_cache(maxsize=1 << 16)
def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Returns the width of a line in points."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(100, 72)
    font.set_text(text, 0.0)
    pixels: float = font.get_width_height()[0] / 64
    return pixels * size / 100


def _fitting(word: str, size: float, width: float, *, bold: bool) -> int:
    """Returns how many letters of a word fit, one at least."""
    count = max(1, int(len(word) * width / width_of(word, size, bold=bold)))
    while count > 1 and width_of(word[:count], size, bold=bold) > width:
        count -= 1
    return count


def _fitted(columns: Sequence[str], rows: Sequence[Sequence[Words]]) -> tuple[float, list[float]]:
    """Returns the size of the font and the widths of columns, which together are no wider than a page."""
    room, size = WIDTH - 2 * LEFT, LARGEST
    while True:
        natural = [
            max(width_of(name, size, bold=True), *(width_of(row[column].text, size, bold=True) for row in rows), 20.0)
            + _GAP
            if rows
            else width_of(name, size, bold=True) + _GAP
            for column, name in enumerate(columns)
        ]
        if sum(natural) <= room:
            return size, natural
        if size <= SMALLEST or _shared(natural, room)[1] > 0.28 * room:
            return size, _shared(natural, room)[0]
        size -= 0.5


def _shared(natural: Sequence[float], room: float) -> tuple[list[float], float]:
    """Shares out a width: narrow columns have what they need, wide ones the same part of the rest, which is returned.

    >>> _shared([10.0, 50.0, 100.0], 100.0)
    ([10.0, 45.0, 45.0], 45.0)
    """
    rest, left = room, list(range(len(natural)))
    while True:
        part = rest / len(left)
        narrow = [column for column in left if natural[column] <= part]
        if not narrow:
            return [part if column in left else natural[column] for column in range(len(natural))], part
        rest -= sum(natural[column] for column in narrow)
        left = [column for column in left if column not in narrow]
        if not left:
            return list(natural), rest


def _first(lines: Sequence[str], most: int) -> list[str]:
    """Returns the first lines, the last of which ends in dots where there are more.

    >>> _first(["one", "two"], 1)
    ['o …']
    """
    return list(lines) if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1][:-2]} …"]


def _words(cell: str | Words) -> Words:
    return Words(cell) if isinstance(cell, str) else cell


def _continued(heading: str) -> str:
    ending = " (continued)"
    return heading if heading.endswith(ending) else heading + ending
