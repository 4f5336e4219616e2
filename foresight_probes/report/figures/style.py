"""Colours, markers and matplotlib settings that all figures share."""

from typing import Any

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, which people with colour vision deficiency can tell apart."""
MARKERS = "os^DvP"
"""Markers of lines, in the order of the colours."""
GREY, INK = "#7A7A7A", "#222222"
"""Colours of axes and controls, and of text."""

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
