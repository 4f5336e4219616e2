"""The calibration table in Markdown: what each instrument reads, what it reads in each geometry, and what is unfit."""

from collections.abc import Callable, Iterable, Sequence

from foresight_probes.calibration.checks import Instrument
from foresight_probes.calibration.geometries import GEOMETRIES
from foresight_probes.calibration.rules import Row

Entry = tuple[Instrument, Sequence[Row], str]
"""An instrument, its rows, and why it is unfit, empty where it is not."""

_COLUMNS: dict[str, Callable[[Row], bool]] = {
    "present": lambda row: row.rule == "present" and row.form.endswith(".linear"),
    "as a product": lambda row: row.rule == "present" and not row.form.endswith(".linear"),
    "absent": lambda row: row.rule == "absent" and row.form.startswith("nothing"),
    "places only": lambda row: row.rule == "absent" and row.form.startswith("places"),
    "under noise (best)": lambda row: row.rule == "known",
    "in all geometries": lambda row: row.rule == "fair",
    "product in hard ones": lambda row: row.rule == "product" and row.geometry != "base",
    "few samples (closed form)": lambda row: row.rule == "few",
}


def to_markdown(table: Sequence[Entry]) -> str:
    """Returns the tables, without a heading."""
    rows = [row for _, own, _ in table for row in own]
    parts = [_summary(table), _geometries(rows), _unfit(table)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(table: Sequence[Entry]) -> str:
    heading = ["task", "head", "metric (chance)", *_COLUMNS, "verdict"]
    lines = []
    for instrument, rows, reason in table:
        metric = f"{rows[0].metric} ({_number(rows[0].chance)})" if rows else ""
        told = [_told(name, [row for row in rows if belongs(row)]) for name, belongs in _COLUMNS.items()]
        lines.append([instrument.task, f"`{instrument.head}`", metric, *told, "**unfit**" if reason else "fit"])
    return _table(heading, lines)


def _told(column: str, rows: Sequence[Row]) -> str:
    """Returns what was obtained, the unfit in bold, with what was expected where the column says so."""
    if column == "in all geometries" and rows:
        worst, best = min(row.obtained for row in rows), max(row.obtained for row in rows)
        text = f"{_number(worst)}–{_number(best)}"
        return f"**{text}**" if any(row.verdict == "unfit" for row in rows) else text
    return " · ".join(_cell(row) + (f" ({_number(row.expected)})" if "(" in column else "") for row in rows)


def _geometries(rows: Sequence[Row]) -> str:
    fair = [row for row in rows if row.rule == "fair"]
    names = [name for name in GEOMETRIES if any(row.geometry == name for row in fair)]
    lines = []
    for task, head, form in dict.fromkeys((row.task, row.head, row.form) for row in fair):
        own = {row.geometry: row for row in fair if (row.task, row.head, row.form) == (task, head, form)}
        lines.append([task, f"`{head}`", form, *(_cell(own[name]) if name in own else "" for name in names)])
    return _table(["task", "head", "facts", *names], lines) if lines else ""


def _unfit(table: Sequence[Entry]) -> str:
    lines = [f"* {instrument.task}, `{instrument.head}`: {reason}" for instrument, _, reason in table if reason]
    return "\n".join(lines)


def _cell(row: Row) -> str:
    return f"**{_number(row.obtained)}**" if row.verdict == "unfit" else _number(row.obtained)


def _number(value: float) -> str:
    """Returns a number with three digits after the point, without a zero before it, or one where it is large.

    >>> _number(0.8643), _number(-0.004), _number(23.37), _number(1.0)
    ('.864', '-.004', '23.4', '1.000')
    """
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}".replace("0.", ".", 1)


def _table(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heading, ["---"] * len(heading), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
