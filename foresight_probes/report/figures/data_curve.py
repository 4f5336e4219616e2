"""A metric over the number of training samples, a panel for each task and a line for each point and head."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from foresight_probes.report.figures.saving import save
from foresight_probes.report.figures.style import GREY, MARKERS, PALETTE, STYLE
from foresight_probes.results.metric_names import label
from foresight_probes.sweeps.data_curve import DataCurve

SPOKEN = "The metric over the number of training samples, one line per point and head; the table has the numbers"
"""Description of the figure for screen readers."""


def draw(curves: Sequence[DataCurve], stem: Path) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page."""
    tasks = dict.fromkeys(curve.results[-1].task for curve in curves)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 4.6 * len(tasks)), layout="constrained")
        FigureCanvasAgg(figure)
        for row, task in enumerate(tasks, start=1):
            own = [curve for curve in curves if curve.results[-1].task == task]
            _panel(figure.add_subplot(len(tasks), 1, row), own)
        return save(figure, stem, SPOKEN)


def _panel(axes: Axes, curves: Sequence[DataCurve]) -> None:
    whole = curves[0].results[-1]
    for number, curve in enumerate(curves):
        sizes, values = zip(*((own.split["train"], own.value) for own in curve.results), strict=True)
        below = [value.value - value.low for value in values]
        above = [value.high - value.value for value in values]
        axes.errorbar(
            sizes, [value.value for value in values], [below, above], lw=1.8, ms=5.5, capsize=2.5, elinewidth=1.1,
            color=PALETTE[number % len(PALETTE)], marker=MARKERS[number % len(MARKERS)], label=_name(curve),
        )  # fmt: skip
    chance = whole.chance.get(whole.primary)
    if chance is not None:
        axes.axhline(chance, color=GREY, lw=1.2, label="mean predictor")
    axes.set_xscale("log", base=2)
    ticks = sorted({own.split["train"] for curve in curves for own in curve.results})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=GREY, alpha=0.2, lw=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("training samples")
    axes.set_ylabel(label(whole.primary))
    axes.set_title(f"{whole.task}: {label(whole.primary)} on the test split", loc="left", fontsize=12)
    axes.legend(frameon=False, fontsize=9.5)


def _name(curve: DataCurve) -> str:
    whole = curve.results[-1]
    compression = f", compression {curve.code.compression.value:.2f}" if curve.code else ""
    return f"{whole.point}, {whole.run.removesuffix('-seed0')}{compression}"
