"""Puts a calibration where the release has it: its table beside the code that reads it, and into the documentation.

`make calibration` calls it with the folder that `foresight calibrate` wrote. Instruments that are not in that folder's
table stay as the release had them, if they are of this code; what is finished of the others is kept beside the table,
so that a calibration goes on where it was on any machine.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from foresight_probes.calibration import kept_runs
from foresight_probes.calibration.checks import FULL, Instrument, instruments
from foresight_probes.calibration.rendering import to_markdown
from foresight_probes.calibration.rules import Row
from foresight_probes.calibration.state import TABLE, why_unfit
from foresight_probes.calibration.trainings import place_of
from foresight_probes.calibration.validity import digest
from pipelines.page_tables import place_table

ROOT = Path(__file__).resolve().parents[1]
Entry = Mapping[str, Any]
"""An instrument with its rows, as `table.json` has it."""


def release(calibration: Path, root: Path = ROOT) -> None:
    """Writes `table.json` and `kept_runs.json` into the package, and the table into `docs/statistics.md`.

    Raises `ValueError` where the page has no place for the table, or the calibration is of another extent than the
    table that it is to be joined with.
    """
    folder = root / "foresight_probes" / "calibration"
    new, shipped = _read(calibration / TABLE), _read(folder / TABLE)
    if new and shipped and new["extent"] != shipped["extent"]:
        raise ValueError(f"{calibration} is of another extent than the table of the release, which it would replace")
    entries = _joined(new.get("instruments", ()), shipped.get("instruments", ()))
    places = [place_of(own) for own in instruments(FULL) if (own.task, own.head) not in map(_name, entries)]
    runs = {
        **{name: record for name, record in _read(folder / kept_runs.KEPT).items() if name.split("/")[0] in places},
        **kept_runs.gathered(calibration, places),
    }
    place_table(root / "docs" / "statistics.md", "calibration table", to_markdown([_shown(own) for own in entries]))
    _write(folder / TABLE, {**(new or shipped), "instruments": entries}, indent=1)
    _write(folder / kept_runs.KEPT, dict(sorted(runs.items())), indent=None)


def _joined(new: Sequence[Entry], shipped: Sequence[Entry]) -> list[Entry]:
    """Returns the new instruments, and those of the release that are of this code, in the order of the registries."""
    known = {_name(own): own for own in (*(own for own in shipped if _is_valid(own)), *new)}
    return [known[own.task, own.head] for own in instruments(FULL) if (own.task, own.head) in known]


def _name(entry: Entry) -> tuple[str, str]:
    return entry["task"], entry["head"]


def _is_valid(entry: Entry) -> bool:
    return bool(entry["digest"] == digest(*_name(entry)))


def _shown(entry: Entry) -> tuple[Instrument, list[Row], str]:
    values: list[dict[str, Any]] = [
        {name: nan if value is None else value for name, value in row.items()} for row in entry["rows"]
    ]
    rows = [Row(**row) for row in values]
    task, head = _name(entry)
    return Instrument(task=task, head=head), rows, entry["failure"] or why_unfit(entry["rows"])


def _read(path: Path) -> dict[str, Any]:
    """Returns what a file holds, nothing where there is none."""
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return found


def _write(path: Path, body: Mapping[str, Any], *, indent: int | None) -> None:
    path.write_text(json.dumps(body, indent=indent, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    release(Path(sys.argv[1]))
