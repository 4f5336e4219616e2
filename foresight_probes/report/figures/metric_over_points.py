"""A metric over points in the order of computation, one line per head."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from foresight_cache.points import PIXELS
from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, MARKERS, PALETTE, STYLE, on_lines, width_for
from foresight_probes.report.page import Section
from foresight_probes.results.metric_names import label, marked

STRUCK: dict[str, Any] = {"ls": "none", "marker": "x", "ms": 11, "mew": 1.4, "color": GREY, "zorder": 5}
"""Style of the cross over a number that says nothing."""
DODGE = 0.09
"""Distance between heads at one point, so that bars do not hide each other."""
SPOKEN = "The metric over points, one line per head; the tables below have the numbers"
"""Description of the figure for screen readers."""


def draw(section: Section, stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg of a task, and returns the SVG element for a page."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_for(len(section.points) + 1), 4.6), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure, section)
        return save(figure, stem, SPOKEN)


def plot(figure: FigureBase, section: Section) -> None:
    """Draws the metric of a task on a figure, or on a part of one."""
    axes = figure.add_subplot()
    points = section.points
    positions = {PIXELS: 0.0, **{point: index + 1.0 for index, point in enumerate(points)}}
    if not any(result.point == PIXELS for result in section.results):
        del positions[PIXELS]
    for number, head in enumerate(section.heads):
        _line(axes, section, head, positions, number)
    if section.chance:
        axes.axhspan(section.chance.low, section.chance.high, color=GREY, alpha=0.16, lw=0, zorder=0)
        axes.axhline(section.chance.value, color=GREY, lw=1.2, zorder=1, label="mean predictor")
    if PIXELS in positions:
        axes.axvline(0.5, color=GREY, lw=0.8, alpha=0.5)
    axes.set_xticks(
        list(positions.values()), list(map(on_lines, positions)), rotation=32, ha="right", rotation_mode="anchor"
    )
    axes.set_xlim(min(positions.values(), default=0) - 0.5, max(positions.values(), default=0) + 0.5)
    axes.set_ylim(*_limits(section))
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    axes.set_ylabel(marked(section.primary))
    axes.set_title(f"{section.task}: {label(section.primary)} on the test split", loc="left", pad=34, fontsize=12)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=5, frameon=False, columnspacing=1.6, fontsize=9.5)


def _line(axes: Axes, section: Section, head: str, positions: dict[str, float], number: int) -> None:
    """Joins points of the model in the order of computation; pixels stand apart, with a thin line to compare with."""
    colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
    shift = DODGE * (number - (len(section.heads) - 1) / 2)
    style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5.5, "capsize": 2.5, "elinewidth": 1.1}
    intervals = {point: interval for point in positions if (interval := section.at(point, head))}
    inside = [point for point in intervals if point != PIXELS]
    for names, line in ((inside, "-"), ([PIXELS] if PIXELS in intervals else [], "none")):
        values = [intervals[name].value for name in names]
        below = [max(0.0, intervals[name].value - intervals[name].low) for name in names]
        above = [max(0.0, intervals[name].high - intervals[name].value) for name in names]
        name = head if line == "-" else None
        axes.errorbar(
            [positions[name] + shift for name in names], values, [below, above], ls=line, lw=1.8, label=name, **style
        )
    struck = [name for name in intervals if section.doubt(name, head)]
    axes.plot([positions[name] + shift for name in struck], [intervals[name].value for name in struck], **STRUCK)
    if PIXELS in intervals:
        axes.axhline(intervals[PIXELS].value, color=colour, lw=1.0, ls=(0, (1, 3)), zorder=1)


def _limits(section: Section) -> tuple[float, float]:
    """Returns limits from zero (or below it where values are) to a little above the highest bar."""
    values = [result.value for result in (*section.results, *section.constant)]
    ends = [end for value in values for end in (value.low, value.high)]
    low, high = min(0.0, *ends), max(ends)
    return low, high + 0.08 * (high - low or 1.0)
