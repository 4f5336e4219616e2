"""Figures as files and as an element of a page, the same bytes for the same figure."""

import io
import re
from pathlib import Path

from matplotlib.figure import Figure


def save(figure: Figure, stem: Path, spoken: str) -> str:
    """Writes `stem`.png and `stem`.svg, and returns the SVG element for a page.

    `spoken` describes the figure to screen readers.
    """
    figure.savefig(stem.with_suffix(".png"), dpi=150, metadata={"Software": None})
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"[ \t]+\n", "\n", buffer.getvalue())
    stem.with_suffix(".svg").write_text(text, encoding="utf-8")
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{spoken}" ', 1)
