"""Differences of points from one of them, each with its interval: a line for each point."""

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from foresight_probes.report.compared_points import Comparison
from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, PALETTE, STYLE
from foresight_probes.results.metric_names import label

SPOKEN = "Differences of points with their intervals, a line for each; the table below has the numbers"
"""Description of the figure for screen readers."""


def draw(comparison: Comparison, stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page.

    Differences that are found are filled; the band holds what would be found in fewer than four of five tests.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 1.9 + 0.42 * len(comparison.points)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if math.isfinite(comparison.detectable):
            axes.axvspan(-comparison.detectable, comparison.detectable, color=GREY, alpha=0.14, lw=0)
        axes.axvline(0, color=GREY, lw=1.2)
        names = [point.name for point in comparison.points]
        for row, point in enumerate(comparison.points):
            difference = point.comparison.difference
            colour = PALETTE[0] if point.differs else GREY
            ends = [[difference.value - difference.low], [difference.high - difference.value]]
            axes.errorbar(
                [difference.value], [row], xerr=ends, fmt="o", ms=6, capsize=3, elinewidth=1.6, color=colour,
                markerfacecolor=colour if point.differs else "white",
            )  # fmt: skip
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(f"{label(comparison.metric)}, difference from {comparison.against}")
        axes.set_title(f"{comparison.task}, {comparison.head}", loc="left", fontsize=12)
        axes.grid(axis="x", color=GREY, alpha=0.2, lw=0.8)
        axes.set_axisbelow(True)
        return save(figure, stem, SPOKEN)
