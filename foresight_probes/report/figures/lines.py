"""Series of values with their intervals over a common axis of numbers or names."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, MARKERS, PALETTE, STYLE, width_for
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.parts import Lines, Series

SPOKEN = "Values with intervals over a common axis"
"""Description of the figure for screen readers."""
_TILTED = 5
"""Names on an axis beyond which they are tilted."""


def draw(lines: Lines, stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_for(len(_names(lines))), 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure, lines)
        return save(figure, stem, SPOKEN)


def plot(figure: FigureBase, lines: Lines) -> None:
    """Draws series on a figure, or on a part of one."""
    names, axes = _names(lines), figure.add_subplot()
    for number, series in enumerate(lines.series):
        _draw(axes, series, number, names)
    if lines.limit is not None:
        axes.axhline(lines.limit, color=GREY, lw=1.2, ls="--", label=f"{lines.limit:g}")
    if names:
        tilted: Any = {"rotation": 32, "ha": "right", "rotation_mode": "anchor"} if len(names) > _TILTED else {}
        axes.set_xticks(range(len(names)), names, **tilted)
    if lines.is_log:
        axes.set_xscale("log")
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(lines.across)
    axes.set_ylabel(lines.up)
    axes.set_title(lines.title, loc="left", fontsize=12)
    if len(lines.series) > 1 or lines.limit is not None:
        axes.legend(frameon=False, fontsize=9.5)


def _names(lines: Lines) -> list[str]:
    return list(dict.fromkeys(place for own in lines.series for place in own.places if isinstance(place, str)))


def _draw(axes: Axes, series: Series, number: int, names: list[str]) -> None:
    places = [names.index(place) if isinstance(place, str) else place for place in series.places]
    spans = [value if isinstance(value, Interval) else Interval(value, value, value) for value in series.values]
    values = [span.value for span in spans]
    below = [max(0.0, span.value - span.low) for span in spans]
    above = [max(0.0, span.high - span.value) for span in spans]
    colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
    axes.errorbar(
        places, values, [below, above], color=colour, marker=marker, ms=5.5, capsize=2.5, lw=1.8, label=series.name
    )
