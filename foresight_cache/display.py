"""A cache as it is shown: its facts and its points, as text for a terminal and as HTML for a notebook."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Facts = Mapping[str, str]
"""Labelled texts that say what a cache is."""
PointTable = Sequence[Mapping[str, str]]
"""One row per point: `point`, `shape`, `type` and `MB`, of caches with codecs also `codec` and `of raw`."""


def input_words(given: Mapping[str, Any]) -> str:
    """Tells of a fingerprint's section `input` what a model was shown.

    >>> input_words({"size": "448x448"}), input_words({"size": "native", "blank_image": "grey"})
    ('input size 448x448', 'input size native, grey in the place of each picture')
    """
    blank = f", {given['blank_image']} in the place of each picture" if "blank_image" in given else ""
    return f"input size {given['size']}{blank}"


def as_text(facts: Facts, points: PointTable) -> str:
    """Returns some lines of plain text.

    >>> print(as_text({"samples": "2 of 2"}, [{"point": "pixels", "shape": "(2, 9, 3)", "type": "uint8", "MB": "0.1"}]))
    <foresight cache>
      samples     2 of 2
      pixels  (2, 9, 3) uint8, 0.1 MB
    """
    width = max((len(row["point"]) for row in points), default=0)
    lines = [f"  {label:12}{text}" for label, text in facts.items()]
    lines += [f"  {row['point']:{width}}  {row['shape']} {row['type']}, {row['MB']} MB{_codec(row)}" for row in points]
    return "\n".join(["<foresight cache>", *lines])


def _codec(row: Mapping[str, str]) -> str:
    return f", {row['codec']} ({row['of raw']} of raw)" if row.get("codec", "none") != "none" else ""


def as_html(facts: Facts, points: PointTable) -> str:
    """Returns two HTML tables."""
    rows = "".join(f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in facts.items())
    cells = ["".join(f"<td>{escape(value)}</td>" for value in row.values()) for row in points]
    head = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in (points[0] if points else ('point',)))}</tr>"
    return f"<table>{rows}</table><table>{head}{''.join(f'<tr>{cell}</tr>' for cell in cells)}</table>"
