"""The calibration table: every instrument trained on planted caches in the ordinary way, and judged by the rules."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes import __version__
from foresight_probes.calibration.checks import Extent, Instrument, checks
from foresight_probes.calibration.coordinates import TOKENS, Coordinates, measured
from foresight_probes.calibration.planted import PlantedCache, PlantedPoint
from foresight_probes.calibration.rendering import to_markdown
from foresight_probes.calibration.rules import Row, judged
from foresight_probes.calibration.state import why_unfit
from foresight_probes.calibration.trainings import train_beside, trainings
from foresight_probes.calibration.validity import digest
from foresight_probes.results.result import Result

COLUMNS = tuple(field.name for field in fields(Row))
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """An instrument with the rows of its checks."""

    instrument: Instrument
    digest: str
    """Digest of the code and options that the rows are valid for (`validity.digest`)."""
    rows: tuple[Row, ...] = ()
    failure: str = ""
    """Why it could not be trained, in a sentence; empty where it could."""

    @property
    def reason(self) -> str:
        """Why the instrument is not fit, in a few words; empty where it is."""
        return self.failure or why_unfit([asdict(row) for row in self.rows])


def calibrate(
    instruments: Sequence[Instrument],
    extent: Extent,
    out: Path,
    *,
    workers: int = 1,
    advance: Advance = silent,
    say: Say = print,
) -> list[Calibrated]:
    """Trains every instrument on its planted caches, and writes `table.json`, `.csv` and `.md` after each.

    Caches that are planted and runs that are finished, by the same code, are kept, so that an interrupted calibration
    goes on where it was.

    Args:
        instruments: Tasks with heads.
        extent: How much is checked.
        out: Folder for caches, runs and the table.
        workers: Processes that train beside each other.
        advance: Called after trainings with the number of points, and 0.
        say: Called with a line about each instrument.

    Raises: `Interrupted`.
    """
    if workers > 1:
        train_beside([own for each in instruments for own in trainings(each, extent)], out, workers, advance)
        advance = silent
    finished = []
    for instrument in instruments:
        try:
            finished.append(_calibrated(instrument, extent, out, advance))
        except ProbeError as error:
            own = digest(instrument.task, instrument.head)
            finished.append(Calibrated(instrument=instrument, digest=own, failure=str(error)))
        write_table(finished, extent, out)
        say(f"{instrument}: {finished[-1].reason or 'fit'}")
    return finished


def _calibrated(instrument: Instrument, extent: Extent, out: Path, advance: Advance) -> Calibrated:
    results: dict[tuple[PlantedCache, PlantedPoint], list[Result]] = {}
    for training in trainings(instrument, extent):
        of_cache = training.results(out)
        results |= {(training.cache, point): own for point, own in of_cache.items()}
        advance(len(of_cache), 0)
    wanted = {check: results[check.cache, check.point] for check in checks(instrument, extent)}
    rows = judged(
        instrument,
        {check: own for check, (own, *_) in wanted.items()},
        {check: own[-1] for check, own in wanted.items() if check.rule == "few"},
    )
    return Calibrated(instrument=instrument, digest=digest(instrument.task, instrument.head), rows=tuple(rows))


def write_table(table: Sequence[Calibrated], extent: Extent, out: Path) -> None:
    """Writes `table.json`, which programs read, `table.csv` and `table.md`, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    body = to_json(table, extent)
    write_file(out / "table.json", (json.dumps(body, indent=1, allow_nan=False) + "\n").encode())
    write_file(out / "table.csv", to_csv([row for own in table for row in own.rows]).encode())
    write_file(out / "table.md", to_markdown([(own.instrument, own.rows, own.reason) for own in table]).encode())


def to_json(table: Sequence[Calibrated], extent: Extent) -> dict[str, Any]:
    """Returns the table as `calibration_of` reads it."""
    return {
        "version": __version__,
        "extent": asdict(extent),
        "geometries": {name: asdict(_coordinates(name)) for name in extent.geometries},
        "instruments": [
            {
                **asdict(own.instrument),
                "digest": own.digest,
                "failure": own.failure,
                "rows": [_finite(asdict(row)) for row in own.rows],
            }
            for own in table
        ],
    }


@cache
def _coordinates(geometry: str) -> Coordinates:
    """Measures a geometry on tokens of planted objects."""
    point = PlantedPoint("objects", "linear", geometry)
    cache = PlantedCache(world="several", rows=16 if point.coordinates.is_fine else 8, train=TOKENS // 64)
    numbers = cache.numbers("train")
    features_BND = cache.features(point, cache.facts(point, cache.drawn(numbers)), numbers)
    return measured(features_BND.reshape(-1, features_BND.shape[2])[:TOKENS])


def to_csv(rows: Sequence[Row]) -> str:
    """Returns the rows with a heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
