"""Reports for people from folders of results: the page, its templates in HTML and Markdown, and its figures."""

import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from foresight_cache.errors import ProbeError

__all__ = ["write_report"]


def write_report(
    runs: Path | Sequence[Path],
    out: Path,
    *,
    pdf: bool = False,
    command: str = "",
    written: date | None = None,
    remark: Callable[[str], None] = warnings.warn,
) -> Path:
    """Writes `report.html`, `report.md` and a figure of each task in `figures/`, and returns the first.

    The HTML stands alone but for links to the files of runs: its figures are inside it and it has no script. The same
    results give the same bytes but for the day.

    Args:
        runs: Folder that `train-probe` wrote, or several, which stand beside each other.
        out: Folder of the report.
        pdf: True to write `report.pdf` too, slides with a figure and a table of each task.
        command: Command line that makes this report, for its foot; empty to leave it out.
        written: Day that is given at its foot; None to leave it out.
        remark: Is told what is left out.

    Raises: `ProbeError` where there are no results, they are damaged, those of a folder do not belong together, or
        `out` cannot be written.
    """
    from foresight_probes.report.topics import load_folders, write_pages

    folders = load_folders([runs] if isinstance(runs, Path) else list(runs), remark)
    try:
        return write_pages(folders, out, pdf=pdf, command=command, written=written)
    except OSError as error:
        raise ProbeError(f"cannot write the report to {out}: {error.strerror or error}") from error
