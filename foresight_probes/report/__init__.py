"""Reports for people from a folder of results: the page, its templates in HTML and Markdown, and its figures."""

import warnings
from collections.abc import Callable
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_probes.results.result import load_results

__all__ = ["write_report"]

FIGURE = "metric-over-points"
"""Name of the figure's files."""


def write_report(runs: Path, out: Path, *, remark: Callable[[str], None] = warnings.warn) -> Path:
    """Writes `report.html`, `report.md` and `figures/metric-over-points.{png,svg}` and returns the first.

    The HTML stands alone: the figure is inside it and it has no script. The same results give the same bytes. What is
    left out is said to `remark`. Raises `ProbeError` where there are no results, they are damaged, they do not belong
    together, or `out` cannot be written.
    """
    from foresight_probes.report.figures.metric_over_points import draw
    from foresight_probes.report.page import page
    from foresight_probes.report.rendering import render

    content = page(load_results(runs, remark=remark))
    try:
        figures = out / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        svg = draw(content.sections, figures / FIGURE)
        (out / "report.md").write_text(render("report.md.jinja", content, f"figures/{FIGURE}.png"), encoding="utf-8")
        (out / "report.html").write_text(render("report.html.jinja", content, svg), encoding="utf-8")
    except OSError as error:
        raise ProbeError(f"cannot write the report to {out}: {error.strerror or error}") from error
    return out / "report.html"
