"""Panels of points of a plane, coloured by class or by value."""

from math import ceil
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import STYLE
from foresight_probes.studies.parts import Panel, Scatter

SPOKEN = "Points of a plane in their classes"
"""Description of the figure for screen readers."""
_ACROSS = 3
"""Panels in a row."""
_DISTINCT = "tab10"
_GRADED = "viridis"


def draw(scatter: Scatter, stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page."""
    across = min(_ACROSS, len(scatter.panels))
    down = ceil(len(scatter.panels) / across)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * across, 3.5 * down + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure, scatter, across)
        figure.suptitle(scatter.title, x=0.01, ha="left", fontsize=12)
        return save(figure, stem, SPOKEN)


def plot(figure: FigureBase, scatter: Scatter, across: int) -> None:
    """Draws panels, `across` beside each other, on a figure or on a part of one."""
    down = ceil(len(scatter.panels) / across)
    for number, panel in enumerate(scatter.panels):
        _draw(figure, figure.add_subplot(down, across, number + 1), panel)


def _draw(figure: FigureBase, axes: Axes, panel: Panel) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(panel.title, fontsize=10)
    if not panel.names:
        drawn = axes.scatter(
            panel.places[:, 0], panel.places[:, 1], c=panel.classes, cmap=_GRADED, s=7, lw=0, rasterized=True
        )
        figure.colorbar(drawn, ax=axes, shrink=0.8)
        return
    colours = mpl.colormaps[_DISTINCT]
    for number, name in enumerate(panel.names):
        own = panel.places[panel.classes == number]
        axes.scatter(own[:, 0], own[:, 1], color=colours(number % 10), s=7, lw=0, label=name, rasterized=True)
    axes.legend(frameon=False, fontsize=7, markerscale=2, handletextpad=0.1, borderpad=0)
