"""The comparison of points as a table, a figure and a page."""

import csv
import io
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.report.compared_points import Comparison, format_p, shown
from foresight_probes.report.figures.differences import draw
from foresight_probes.report.page import RANDOM_WEIGHTS
from foresight_probes.report.rendering import templates

NAME = "comparison"
"""Name of the files, before their suffixes."""


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Writes `comparison.csv`, `.png`, `.svg` and `.html`, and returns the last, which stands alone.

    The same comparison gives the same bytes. Raises `ProbeError` where `out` cannot be written.
    """
    page = (out / NAME).with_suffix(".html")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file((out / NAME).with_suffix(".csv"), _table(comparison).encode())
        figure = draw(comparison, out / NAME)
        random = comparison.result.cache.get("model", {}).get("weights") == "random"
        text = (
            templates()
            .get_template("comparison.html.jinja")
            .render(
                comparison=comparison, figure=figure, shown=shown, p=format_p, notice=RANDOM_WEIGHTS if random else None
            )
        )
        write_file(page, text.encode())
    except OSError as error:
        raise ProbeError(f"cannot write the comparison to {out}: {error.strerror or error}") from error
    return page


def _table(comparison: Comparison) -> str:
    rows, text = comparison.rows(), io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
