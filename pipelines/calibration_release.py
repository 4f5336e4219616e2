"""Puts a calibration table where the release has it: beside the code that reads it, and into the documentation.

`make calibration` calls it with the folder that `foresight calibrate` wrote.
"""

import shutil
import sys
from pathlib import Path

from pipelines.page_tables import place_table

ROOT = Path(__file__).resolve().parents[1]


def release(calibration: Path, root: Path = ROOT) -> None:
    """Copies `table.json` into the package, and `table.md` into `docs/statistics.md`.

    Raises `ValueError` where the page has no place for the table.
    """
    table = (calibration / "table.md").read_text(encoding="utf-8")
    place_table(root / "docs" / "statistics.md", "calibration table", table)
    shutil.copyfile(calibration / "table.json", root / "foresight_probes" / "calibration" / "table.json")


if __name__ == "__main__":
    release(Path(sys.argv[1]))
