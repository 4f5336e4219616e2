"""A measure over points in the order of computation, with the threshold below which it must not fall."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, PALETTE, STYLE, width_for
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.curves import CurveFound

SPOKEN = "A measure over points with intervals and its threshold; the tables below have the numbers"
"""Description of the figure for screen readers."""


def draw(found: CurveFound, meaning: str, expected: Mapping[str, tuple[float, float]], stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page.

    `meaning` is what is measured; `expected` are the ranges that the plan expected by point, drawn as bars behind.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width_for(len(_known(found))), 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure, found, meaning, expected)
        return save(figure, stem, SPOKEN)


def plot(figure: FigureBase, found: CurveFound, meaning: str, expected: Mapping[str, tuple[float, float]]) -> None:
    """Draws a curve on a figure, or on a part of one."""
    known, axes = _known(found), figure.add_subplot()
    values = [interval.value for interval in known.values()]
    below = [max(0.0, interval.value - interval.low) for interval in known.values()]
    above = [max(0.0, interval.high - interval.value) for interval in known.values()]
    places = range(len(known))
    for place, point in enumerate(known):
        if point in expected:
            low, high = expected[point]
            axes.bar(place, high - low, 0.5, low, color=GREY, alpha=0.2, lw=0)
    axes.errorbar(places, values, [below, above], color=PALETTE[0], marker="o", ms=5.5, capsize=2.5, lw=1.8)
    axes.axhline(found.curve.falls.value, color=PALETTE[1], lw=1.2, ls="--", label=str(found.curve.falls))
    axes.set_xticks(places, list(known), rotation=32, ha="right", rotation_mode="anchor")
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel(meaning)
    axes.set_title(found.curve.title, loc="left", fontsize=12)
    axes.legend(frameon=False, fontsize=9.5)


def _known(found: CurveFound) -> dict[str, Interval]:
    return {point: own.interval for point, own in found.readings.items() if own.interval is not None}
