"""A heat map of values from 0 to 1 over points in the order of computation, with the values in the cells."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, INK, STYLE
from foresight_probes.studies.parts import HeatMap

CELL = 0.56
"""Side of a cell in inches."""
MOST_WITH_VALUES = 24
"""Rows or columns up to which cells are drawn large enough for their values; more make the cells smaller."""
LARGEST = 15.0
"""Inches that the cells take at most along a side."""
SMALL = 0.3
"""Inches of a cell below which the names of points are written smaller."""
ON_DARK, ON_LIGHT = "#FDFDFD", "#111111"
"""Colours of values in cells, which are the same on a dark page."""
COLOURS = "viridis"
"""Matplotlib's colours of evenly rising lightness, which people with colour vision deficiency can tell apart."""
SPOKEN = "Heat map of the values in the table below"


def draw(
    values: Sequence[Sequence[float | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: Sequence[str],
    meaning: str,
    axes_names: tuple[str, str],
    stem: Path,
    struck: Sequence[tuple[int, int]] = (),
) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page; None is a value that is not defined.

    `title` is one or more lines; `meaning` is what a value is, for the scale of colours; `axes_names` are those of the
    columns and of the rows, or empty; `struck` are rows and columns of cells whose values are struck through.
    """
    with_values = max(len(rows), len(columns)) <= MOST_WITH_VALUES
    cell = CELL if with_values else min(CELL, LARGEST / max(len(rows), len(columns)))
    longest = (0.085 if cell >= SMALL else 0.055) * max(map(len, (*rows, *columns)))
    titles = 0.3 * len(title)
    width = max(0.5 + 0.095 * max(map(len, title)), 1.6 + longest + cell * len(columns))
    size = (width, 0.55 + titles + 0.7 * longest + cell * len(rows))
    with mpl.rc_context(STYLE | {"axes.edgecolor": INK}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        numbers = np.array(values, dtype=float)
        axes = _filled(figure, numbers, meaning, with_values=with_values)
        _label(axes, rows, columns, axes_names, small=cell < SMALL)
        for row, column in struck:
            colour = ON_DARK if numbers[row, column] < 0.5 else ON_LIGHT
            axes.plot([column - 0.36, column + 0.36], [row, row], color=colour, linewidth=1)
        figure.suptitle("\n".join(title), x=0.02, ha="left", fontsize=12)
        return save(figure, stem, SPOKEN)


def draw_part(part: HeatMap, stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg of a part of a section, and returns the SVG element for a page."""
    return draw(
        part.values_RC.tolist(),
        rows=part.rows,
        columns=part.columns,
        title=[part.title],
        meaning=part.meaning,
        axes_names=(part.across, part.down),
        stem=stem,
    )


def plot(figure: FigureBase, part: HeatMap) -> None:
    """Draws a part of a section on a figure, or on a part of one."""
    axes = _filled(figure, part.values_RC, part.meaning, with_values=max(part.values_RC.shape) <= MOST_WITH_VALUES)
    _label(axes, part.rows, part.columns, (part.across, part.down), small=False)


def _filled(figure: FigureBase, numbers_RC: np.ndarray, meaning: str, *, with_values: bool) -> Axes:
    axes = figure.add_subplot()
    palette = mpl.colormaps[COLOURS].with_extremes(bad="white")
    image = axes.imshow(np.ma.masked_invalid(numbers_RC), cmap=palette, vmin=0, vmax=1, interpolation="nearest")
    _mark(axes, numbers_RC, with_values=with_values)
    figure.colorbar(image, ax=axes, label=meaning, ticks=[0, 0.25, 0.5, 0.75, 1], aspect=25, shrink=0.9)
    return axes


def _label(axes: Axes, rows: Sequence[str], columns: Sequence[str], names: tuple[str, str], *, small: bool) -> None:
    size = 6.5 if small else 10
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor", fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])


def _mark(axes: Axes, numbers: np.ndarray, *, with_values: bool) -> None:
    """Writes values into cells, dark on light and light on dark, and hatches cells without one."""
    for (row, column), value in np.ndenumerate(numbers):
        if np.isnan(value):
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(mpl.patches.Rectangle(corner, 1, 1, fill=False, hatch="////", ec=GREY, lw=0))
        elif with_values:
            colour = ON_DARK if value < 0.5 else ON_LIGHT
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour)
