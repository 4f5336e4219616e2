"""A metric over points in the order of computation, one line for each folder of runs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, MARKERS, PALETTE, STYLE, on_lines, width_for
from foresight_probes.report.folders import ChosenLine
from foresight_probes.results.metric_names import label, marked

SPOKEN = "The metric over points, one line for each folder of runs; the table below has the numbers"
"""Description of the figure for screen readers."""
DODGE = 0.06
"""Distance between folders at one point, so that bars do not hide each other."""


def draw(task: str, metric: str, lines: Sequence[ChosenLine], points: Sequence[str], stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_for(len(points)), 4.6), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure, task, metric, lines, points)
        return save(figure, stem, SPOKEN)


def plot(figure: FigureBase, task: str, metric: str, lines: Sequence[ChosenLine], points: Sequence[str]) -> None:
    """Draws lines of folders over points, on a figure or on a part of one."""
    axes = figure.add_subplot()
    for number, line in enumerate(lines):
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        shift = DODGE * (number - (len(lines) - 1) / 2)
        own = [(place + shift, line.values[point]) for place, point in enumerate(points) if point in line.values]
        values = [value.value for _, value in own]
        below = [max(0.0, value.value - value.low) for _, value in own]
        above = [max(0.0, value.high - value.value) for _, value in own]
        axes.errorbar(
            [place for place, _ in own], values, [below, above], color=colour, marker=marker, ms=5.5, capsize=2.5,
            elinewidth=1.1, lw=1.8, label=line.folder,
        )  # fmt: skip
        if line.chance:
            axes.axhline(line.chance.value, color=colour, lw=1.0, ls=(0, (1, 3)), zorder=1)
    axes.set_xticks(range(len(points)), list(map(on_lines, points)), rotation=32, ha="right", rotation_mode="anchor")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel(marked(metric))
    axes.set_title(f"{task}: {label(metric)} on the test split", loc="left", pad=34, fontsize=12)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, frameon=False, columnspacing=1.6, fontsize=9.5)
