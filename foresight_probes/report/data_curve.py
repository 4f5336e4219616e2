"""Data curves as a table and a figure."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.report.figures.data_curve import draw
from foresight_probes.sweeps.data_curve import DataCurve

NAME = "data_curve"
"""Name of the files, before their suffixes."""


def curve_rows(curves: Sequence[DataCurve]) -> list[dict[str, Any]]:
    """Returns a row of plain numbers and texts for each portion of each curve.

    The description length stands in the row of all samples.
    """
    rows = []
    for curve in curves:
        for result in curve.results:
            code = curve.code if result is curve.results[-1] else None
            rows.append(
                {
                    **{"task": result.task, "point": result.point, "run": result.run, "metric": result.primary},
                    **{"train": result.split["train"], "validation": result.split["validation"]},
                    **{"value": result.value.value, "low": result.value.low, "high": result.value.high},
                    "chance": result.chance.get(result.primary),
                    **{"n": result.split["test"], "groups": result.split["groups"], "too_few": result.too_few or None},
                    "bits": code.bits.value if code else None,
                    "compression": code.compression.value if code else None,
                    "compression_low": code.compression.low if code else None,
                    "compression_high": code.compression.high if code else None,
                    "coded": code.samples if code else None,
                }
            )
    return rows


def write_curves(curves: Sequence[DataCurve], out: Path) -> Path:
    """Writes `data_curve.csv`, `.png` and `.svg` and returns the path of the second.

    Raises `ProbeError` where `out` cannot be written.
    """
    rows, text = curve_rows(curves), io.StringIO()
    table = csv.DictWriter(text, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file((out / NAME).with_suffix(".csv"), text.getvalue().encode())
        draw(curves, out / NAME)
    except OSError as error:
        raise ProbeError(f"cannot write the data curve to {out}: {error.strerror or error}") from error
    return (out / NAME).with_suffix(".png")
