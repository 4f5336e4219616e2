"""Puts a calibration table where the release has it: beside the code that reads it, and into the documentation.

`make calibration` calls it with the folder that `foresight calibrate` wrote.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- calibration table -->", "<!-- end of calibration table -->"
"""Lines of the page between which the table stands."""


def release(calibration: Path, root: Path = ROOT) -> None:
    """Copies `table.json` into the package, and `table.md` into `docs/statistics.md`.

    Raises `ValueError` where the page has no place for the table.
    """
    page = root / "docs" / "statistics.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the table, expected the lines {BEGIN} and {END}")
    table = (calibration / "table.md").read_text(encoding="utf-8")
    page.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}", encoding="utf-8")
    shutil.copyfile(calibration / "table.json", root / "foresight_probes" / "calibration" / "table.json")


if __name__ == "__main__":
    release(Path(sys.argv[1]))
