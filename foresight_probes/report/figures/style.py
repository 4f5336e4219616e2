"""Colours, markers and matplotlib settings that all figures share."""

from typing import Any

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, which people with colour vision deficiency can tell apart."""
MARKERS = "os^DvP"
"""Markers of lines, in the order of the colours."""
GREY, INK, PAPER = "#7A7A7A", "#222222", "#FFFFFF"
"""Colours of axes and controls, of text, and of what lies behind them."""

STYLE: Any = {
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
"""Settings for `matplotlib.rc_context`."""


def width_for(places: int) -> float:
    """Returns the width in inches of a figure with so many named places across.

    >>> width_for(3), width_for(30)
    (7.0, 11.4)
    """
    return max(7.0, 2.4 + 0.85 * min(places, 8), 2.4 + 0.3 * places)


def on_lines(point: str) -> str:
    r"""Returns a point for an axis; several that are taken together stand on a line each.

    >>> on_lines("E4+E5")
    'E4 +\nE5'
    """
    return point.replace("+", " +\n")
