"""Figures as files and as an element of a page, the same bytes for the same figure."""

import io
import re
from pathlib import Path

from matplotlib.figure import Figure

from foresight_probes.report.figures.style import GREY, INK, PALETTE, PAPER

VARIABLES = {
    **{INK.lower(): "--ink", "#000000": "--ink", PAPER.lower(): "--paper", GREY.lower(): "--grey"},
    **{PALETTE[0].lower(): "--blue"},
}
"""Variables of the page's style, by the colours in whose place they stand, so that a figure goes dark with the page."""


def save(figure: Figure, stem: Path, spoken: str) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page.

    `spoken` describes the figure to screen readers. The element takes its colours from the page's style.
    """
    figure.savefig(stem.with_suffix(".png"), dpi=150, metadata={"Software": None})
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"[ \t]+\n", "\n", buffer.getvalue())
    stem.with_suffix(".svg").write_text(text, encoding="utf-8")
    return themed(text[text.index("<svg") :]).replace("<svg ", f'<svg role="img" aria-label="{spoken}" ', 1)


def themed(svg: str) -> str:
    """Returns an SVG whose inks and grounds are those of the page around it.

    >>> themed('<path style="fill: #222222; stroke: #d55e00"/>')
    '<path style="fill: var(--ink, #222222); stroke: #d55e00"/>'
    """
    return re.sub(r"(?<=: )#[0-9a-f]{6}(?=[;\"])", _themed, svg)


def _themed(colour: re.Match[str]) -> str:
    variable = VARIABLES.get(colour[0])
    return f"var({variable}, {colour[0]})" if variable else colour[0]
