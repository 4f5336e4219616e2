"""Puts the table and the figure of factors where the documentation has them.

`make discrepancy` calls it with the folder that `foresight discrepancy` wrote.
"""

import shutil
import sys
from pathlib import Path

from pipelines.page_tables import place_table

ROOT = Path(__file__).resolve().parents[1]


def release(factors: Path, root: Path = ROOT) -> None:
    """Copies `factors.md` into `docs/why_your_probe_reads_zero.md`, and `factors.png` beside its figures.

    Raises `ValueError` where the page has no place for the table.
    """
    table = (factors / "factors.md").read_text(encoding="utf-8").rstrip("\n") + "\n"
    place_table(root / "docs" / "why_your_probe_reads_zero.md", "table of factors", table)
    shutil.copyfile(factors / "factors.png", root / "docs" / "images" / "factors.png")


if __name__ == "__main__":
    release(Path(sys.argv[1]))
