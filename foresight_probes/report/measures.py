"""Sections about one cache as a page, a table of all numbers, and JSON."""

import csv
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.report.drawn_tasks import FIGURES
from foresight_probes.report.page import RANDOM_WEIGHTS
from foresight_probes.report.rendering import templates
from foresight_probes.report.run_links import RunLinks
from foresight_probes.report.section_parts import drawn
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies.parts import Shown, Table, Value

NAME = "measures"
"""Name of the files, before their suffixes."""
_COLUMNS = ("measure", "table", "row", "column", "value", "low", "high")


def write_measures(cache: Cache, shown: Sequence[Shown], out: Path, *, command: str) -> Path:
    """Writes `measures.html`, `measures.csv` and figures, and returns the first; the same numbers give the same bytes.

    The HTML stands alone. The table has a line for each cell: measure, number of its table, row and column; intervals
    have three numbers. Raises `ProbeError` where `out` cannot be written.
    """
    page = (out / NAME).with_suffix(".html")
    try:
        (out / FIGURES).mkdir(parents=True, exist_ok=True)
        write_file((out / NAME).with_suffix(".csv"), _table(shown).encode())
        write_file(page, _page(cache, shown, out, command).encode())
    except OSError as error:
        raise ProbeError(f"cannot write the measures to {out}: {error.strerror or error}") from error
    return page


def measures_json(shown: Sequence[Shown]) -> dict[str, Any]:
    """Returns by measure its tables, rows by the names of columns, or the reason why there are none."""
    return {
        own.name: {"reason": own.reason}
        if own.reason
        else {
            "tables": [
                [dict(zip(part.columns, map(_plain, row), strict=True)) for row in part.values]
                for part in own.parts
                if isinstance(part, Table)
            ]
        }
        for own in shown
    }


def _plain(value: Value) -> Any:
    return {"value": value.value, "low": value.low, "high": value.high} if isinstance(value, Interval) else value


def _table(shown: Sequence[Shown]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for own in shown:
        tables = [part for part in own.parts if isinstance(part, Table)]
        for number, part in enumerate(tables):
            for place, row in enumerate(part.values):
                for column, value in zip(part.columns, row, strict=True):
                    writer.writerow([own.name, number, place, column, *_cells(value)])
    return text.getvalue()


def _cells(value: Value) -> tuple[Value, ...]:
    return (value.value, value.low, value.high) if isinstance(value, Interval) else (value, None, None)


def _page(cache: Cache, shown: Sequence[Shown], out: Path, command: str) -> str:
    model, dataset = (cache.fingerprint.get(name, {}) for name in ("model", "dataset"))
    facts = [("cache", cache.path), ("fingerprint", cache.digest)]
    facts += [
        (f"{label} {name}", str(value))
        for label, values in (("model", model), ("dataset", dataset))
        for name, value in values.items()
        if isinstance(value, str | int | float)
    ]
    return (
        templates()
        .get_template("measures.html.jinja")
        .render(
            heading=f"{model.get('name', 'A model without a name')}, measured without training",
            under=f"{len(cache.rows):,} samples of {dataset.get('name') or 'a dataset without a name'}",
            notice=RANDOM_WEIGHTS if model.get("weights") == "random" else None,
            drawn_sections=drawn(shown, FIGURES, RunLinks(out)),
            command=command,
            facts=[*facts, ("foresight-cache", version("foresight-cache"))],
        )
    )
