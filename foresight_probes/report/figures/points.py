"""The figure: a metric over points in the order of computation, one line per head."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from foresight_cache.points import PIXELS
from foresight_probes.report.page import Section, label

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, which people with colour vision deficiency can tell apart."""
MARKERS = "os^DvP"
DODGE = 0.09
"""Distance between heads at one point, so that bars do not hide each other."""
SPOKEN = "The metric over points, one line per head; the tables below have the numbers"
GREY, INK = "#7A7A7A", "#222222"

_STYLE: Any = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "foresight",  # or matplotlib's ids differ from run to run
}


def draw(sections: Sequence[Section], stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, one panel per task, and returns the SVG element for a page."""
    columns = max(len(section.points) for section in sections) + 1
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(max(7.0, 2.4 + 0.85 * columns), 4.6 * len(sections)), layout="constrained")
        FigureCanvasAgg(figure)
        for place, section in enumerate(sections):
            _panel(figure.add_subplot(len(sections), 1, place + 1), section)
        figure.savefig(stem.with_suffix(".png"), dpi=150, metadata={"Software": None})
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"[ \t]+\n", "\n", buffer.getvalue())
    stem.with_suffix(".svg").write_text(text, encoding="utf-8")
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{SPOKEN}" ', 1)


def _panel(axes: Axes, section: Section) -> None:
    points = section.points
    places = {PIXELS: 0.0, **{point: place + 1.0 for place, point in enumerate(points)}}
    if not any(result.point == PIXELS for result in section.results):
        del places[PIXELS]
    for number, head in enumerate(section.heads):
        _line(axes, section, head, places, number)
    if section.chance:
        axes.axhspan(section.chance.low, section.chance.high, color=GREY, alpha=0.16, lw=0, zorder=0)
        axes.axhline(section.chance.value, color=GREY, lw=1.2, zorder=1, label="mean predictor")
    if PIXELS in places:
        axes.axvline(0.5, color=GREY, lw=0.8, alpha=0.5)
    axes.set_xticks(list(places.values()), list(places), rotation=32, ha="right", rotation_mode="anchor")
    axes.set_xlim(min(places.values(), default=0) - 0.5, max(places.values(), default=0) + 0.5)
    axes.set_ylim(*_limits(section))
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    axes.set_ylabel(label(section.primary))
    axes.set_title(f"{section.task}: {label(section.primary)} on the test split", loc="left", pad=34, fontsize=12)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=5, frameon=False, columnspacing=1.6, fontsize=9.5)


def _line(axes: Axes, section: Section, head: str, places: dict[str, float], number: int) -> None:
    """Points of the model joined in the order of computation; pixels apart, with a thin line to compare with."""
    colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
    shift = DODGE * (number - (len(section.heads) - 1) / 2)
    style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5.5, "capsize": 2.5, "elinewidth": 1.1}
    found = {point: interval for point in places if (interval := section.at(point, head))}
    inside = [point for point in found if point != PIXELS]
    for names, line in ((inside, "-"), ([PIXELS] if PIXELS in found else [], "none")):
        values = [found[name].value for name in names]
        below = [max(0.0, found[name].value - found[name].low) for name in names]
        above = [max(0.0, found[name].high - found[name].value) for name in names]
        name = head if line == "-" else None
        axes.errorbar(
            [places[name] + shift for name in names], values, [below, above], ls=line, lw=1.8, label=name, **style
        )
    if PIXELS in found:
        axes.axhline(found[PIXELS].value, color=colour, lw=1.0, ls=(0, (1, 3)), zorder=1)


def _limits(section: Section) -> tuple[float, float]:
    """From zero (or below it where values are) to a little above the highest bar."""
    ends = [each for result in (*section.results, *section.constant) for each in (result.value.low, result.value.high)]
    low, high = min(0.0, *ends), max(ends)
    return low, high + 0.08 * (high - low or 1.0)
