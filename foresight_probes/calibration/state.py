"""The state of an instrument's calibration, from the table that is shipped with the release."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from foresight_probes.calibration.coordinates import Coordinates, beyond, measured
from foresight_probes.calibration.validity import digest
from foresight_probes.options import TrainingOptions

TABLE = "table.json"
"""Name of the shipped table, beside this file."""

Calibrated = Literal["fit", "unfit", "never", "outdated"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationState:
    """Whether a number of an instrument can be trusted, and why not."""

    calibrated: Calibrated
    """`fit`, or `unfit` where a check failed; `never` where none was made, or only with other options; `outdated` where
    the code has changed since."""
    reason: str = ""
    """Why an instrument is not fit, in a few words; empty where it is."""
    geometries: tuple[str, ...] = ()
    """Geometries in which it was found to read the same."""


def calibration_of(
    task: str, head: str, options: TrainingOptions | None = None, *, table: Mapping[str, Any] | None = None
) -> CalibrationState:
    """Returns the state of a head for a task.

    Args:
        task: Name of a task.
        head: Name of a head.
        options: Options with which it is trained; the defaults where None.
        table: A calibration table; the shipped one where None.

    Raises: `UnknownName`.
    """
    entries = (table if table is not None else shipped_table())["instruments"]
    entry = next((own for own in entries if (own["task"], own["head"]) == (task, head)), None)
    if entry is None:
        return CalibrationState(calibrated="never", reason="never calibrated")
    if entry["digest"] != digest(task, head):
        return CalibrationState(calibrated="outdated", reason="calibrated with other code")
    if entry["digest"] != digest(task, head, options):
        return CalibrationState(calibrated="never", reason="calibrated with other options of training")
    rows = entry["rows"]
    fair = [row for row in rows if row["rule"] == "fair"]
    unfair = {row["geometry"] for row in fair if row["verdict"] == "unfit"}
    geometries = tuple(name for name in dict.fromkeys(row["geometry"] for row in fair) if name not in unfair)
    reason = entry["failure"] or why_unfit(rows)
    return CalibrationState(calibrated="unfit" if reason else "fit", reason=reason, geometries=geometries)


def beyond_calibration(
    state: CalibrationState, tokens_ND: np.ndarray, *, table: Mapping[str, Any] | None = None
) -> str:
    """Returns in which way features go beyond all geometries that an instrument reads the same, in words.

    It is empty where they do not, and where the instrument was not compared in any.

    Args:
        state: State of the instrument.
        tokens_ND: Some `coordinates.TOKENS` tokens from many samples of a point, of any number type.
        table: A calibration table; the shipped one where None.
    """
    known = (table if table is not None else shipped_table()).get("geometries", {})
    compared = [Coordinates(**known[name]) for name in state.geometries if name in known]
    return beyond(measured(tokens_ND), compared) if compared else ""


def why_unfit(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns what is wrong with an instrument by the rows of a table, in a few words; empty for nothing.

    >>> row = {"rule": "present", "form": "lists.linear", "geometry": "", "verdict": "unfit"}
    >>> why_unfit([row, {**row, "rule": "fair", "form": "lists.snr", "geometry": "llm"}, {**row, "verdict": "fit"}])
    'unfit in 2 of 3 checks: present (lists.linear), fair (lists.snr in llm)'
    """
    failed = [row for row in rows if row["verdict"] == "unfit"]
    named = [f"{row['rule']} ({row['form']}{' in ' + row['geometry'] if row['geometry'] else ''})" for row in failed]
    return f"unfit in {len(failed)} of {len(rows)} checks: {', '.join(named)}" if failed else ""


@cache
def shipped_table() -> Mapping[str, Any]:
    """Returns the table of the release, of which nothing is calibrated where it has no instruments."""
    table: Mapping[str, Any] = json.loads(files(__package__).joinpath(TABLE).read_text(encoding="utf-8"))
    return table
