"""The table of factors as CSV with all digits, and as Markdown for a page and a terminal."""

import csv
import io
from collections.abc import Sequence
from itertools import groupby

from foresight_probes.statistics.interval import Interval
from pipelines.discrepancy.readings import Row
from pipelines.discrepancy.steps import Share

ROW_HEAD = ("what", "reads (95 %)", "n", "seeds", "no features", "differs from", "by (95 %)")
SHARE_HEAD = ("factor", "makes (95 %)", "of the difference (95 %)")
NAMES = {"mean_iou": "mean IoU", "lpips": "LPIPS (AlexNet)", "map_0.5": "mAP at IoU 0.5"}
"""Metrics as they are written."""
_COLUMNS = (
    *("key", "part", "what", "metric", "value", "low", "high", "scenes", "seeds", "chance"),
    *("against", "difference", "difference_low", "difference_high", "paired"),
)


def to_csv(rows: Sequence[Row]) -> str:
    """Returns a line for each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        difference = row.difference
        ends = ("", "", "") if difference is None else (difference.value, difference.low, difference.high)
        value = (row.value.value, row.value.low, row.value.high)
        chance = "" if row.chance is None else row.chance
        paired = "" if difference is None else str(row.paired).lower()
        named = (row.key, row.part, row.what, row.metric)
        writer.writerow((*named, *value, row.scenes, row.seeds, chance, row.against, *ends, paired))
    return text.getvalue()


def row_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Returns the texts of each row under `ROW_HEAD`."""
    return [
        (
            row.what,
            shown(row.value),
            str(row.scenes),
            str(row.seeds),
            "" if row.chance is None else _number(row.chance),
            row.against,
            "" if row.difference is None else shown(row.difference, signed=True) + ("" if row.paired else " unpaired"),
        )
        for row in rows
    ]


def share_cells(shares: Sequence[Share]) -> list[tuple[str, ...]]:
    """Returns the texts of each share under `SHARE_HEAD`."""
    return [
        (
            share.factor if share.is_link else f"alone: {share.factor}",
            shown(share.difference, signed=True),
            f"{_percent(share.share.value)} ({_percent(share.share.low)} to {_percent(share.share.high)})",
        )
        for share in shares
    ]


def to_markdown(rows: Sequence[Row], shares: Sequence[Share]) -> str:
    """Returns a table of shares for each question, then a table of rows for each part; names of rows stand in it."""
    lines: list[str] = []
    for question, own in groupby(shares, key=lambda share: share.question):
        lines += [f"**{question}**", "", *_table(SHARE_HEAD, share_cells(list(own))), ""]
    for part, of_part in groupby(rows, key=lambda row: row.part):
        listed = list(of_part)
        named = [(f"`{row.key}`", *cells) for row, cells in zip(listed, row_cells(listed), strict=True)]
        lines += [f"**{part}**, {NAMES[listed[0].metric]}", "", *_table(("row", *ROW_HEAD), named), ""]
    return "\n".join(lines)


def shown(interval: Interval, *, signed: bool = False) -> str:
    """Returns a value with its interval.

    >>> shown(Interval(0.1534, 0.14, 0.16)), shown(Interval(-0.02, -0.03, 0.01), signed=True)
    ('0.153 (0.140 to 0.160)', '-0.020 (-0.030 to +0.010)')
    """
    value, low, high = (_number(end, signed=signed) for end in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _number(value: float, *, signed: bool = False) -> str:
    rounded = round(value, 3) + 0.0  # no negative zero
    return f"{rounded:+.3f}" if signed and rounded else f"{rounded:.3f}"


def _percent(share: float) -> str:
    """Returns a share in whole percent.

    >>> _percent(-0.001), _percent(0.456)
    ('0 %', '46 %')
    """
    return f"{round(100 * share)} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
