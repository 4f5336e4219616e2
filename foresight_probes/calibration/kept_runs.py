"""Trainings of instruments whose calibration is not finished, kept with the release so that it goes on on any machine.

A calibration of a trained head takes hours. What a release has of it are the results of single trainings, without
scores and weights, by the code and the planted cache that they are of; those of other code are never found.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_probes.controls.mean_predictor import MEAN_PREDICTOR
from foresight_probes.results.result import Result, load_results, of_record

KEPT = "kept_runs.json"
"""Name of the shipped file, beside this one: results by `<instrument with digest>/<cache>/<point>/<head>`."""


def kept(place: str, planted: str, point: str, heads: Sequence[str]) -> list[Result] | None:
    """Returns the results of heads on a point of a planted cache, in their order; None unless all are kept.

    Args:
        place: Name of the instrument with the digest of its code (`trainings.place_of`).
        planted: Name of the planted cache, which tells its content.
        point: Name of a planted point.
        heads: Names of heads.
    """
    records = [shipped_runs().get(f"{place}/{planted}/{point}/{head}") for head in heads]
    return None if None in records else [of_record(record) for record in records if record is not None]


@cache
def shipped_runs() -> Mapping[str, Mapping[str, Any]]:
    """Returns the records of the shipped file by their names."""
    records: Mapping[str, Mapping[str, Any]] = json.loads(files(__package__).joinpath(KEPT).read_bytes())
    return records


def gathered(calibration: Path, places: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the records of all finished runs of some instruments in the folder of a calibration.

    Args:
        calibration: Folder that `foresight calibrate` wrote.
        places: Names of instruments with the digests of their code.
    """
    records: dict[str, dict[str, Any]] = {}
    for place in places:
        for folder in sorted((calibration / "runs" / place).glob("*")):
            try:
                results = load_results(folder)
            except ProbeError:
                continue  # nothing is finished there
            records |= {
                f"{place}/{folder.name}/{own.point}/{own.head}": _record(own, folder.name)
                for own in results
                if own.point != MEAN_PREDICTOR
            }
    return records


def _record(result: Result, planted: str) -> dict[str, Any]:
    """Returns the record of a result without what it tells of the machine: where things lay, and how long it took."""
    record = result.to_json()
    return {**record, "cache": {**record["cache"], "path": planted}, "not_measured": {}, "wall_seconds": 0.0}
