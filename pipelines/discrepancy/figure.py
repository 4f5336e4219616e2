"""The figure of factors: what each reads, with its interval, beside what the same reads without features."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, PALETTE, STYLE
from pipelines.discrepancy.readings import Row
from pipelines.discrepancy.table import NAMES

SPOKEN = "What each variant of a probe reads, with its interval, and what it reads without features"


def draw(rows: Sequence[Row], stem: Path) -> None:
    """Writes `stem`.png and `stem`.svg, with a panel for each part."""
    parts = [(part, list(own)) for part, own in groupby(rows, key=lambda row: row.part)]
    heights = [len(own) + 2 for _, own in parts]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 0.27 * sum(heights) + 0.5 * len(parts)), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for axes, (part, own) in zip(panels, parts, strict=True):
            _panel(axes, part, own)
        save(figure, stem, SPOKEN)


def _panel(axes: Axes, part: str, rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        value = row.value
        ends = [[value.value - value.low], [value.high - value.value]]
        axes.errorbar([value.value], [place], xerr=ends, fmt="o", ms=5, capsize=3, elinewidth=1.4, color=PALETTE[0])
        if row.chance is not None:
            axes.plot([row.chance], [place], "|", ms=12, color=PALETTE[1])
    axes.set_yticks(range(len(rows)), [row.what.replace("`", "") for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{NAMES[rows[0].metric]}; upright marks: without features", fontsize=8)
    axes.set_title(part, loc="left", fontsize=10)
    axes.grid(axis="x", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
