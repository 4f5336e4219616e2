"""What people have to judge: reconstructions in an order that tells nothing, a table to fill in, and a key apart."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.durable_files import write_file
from foresight_probes.predictions import drawing
from foresight_probes.predictions.shown import middle, reconstruction
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.pictured import evenly_tested, pictured, predictions
from foresight_probes.studies.study import Raters

PICTURES, SHEET, KEY = "pictures", "ratings.csv", "key.csv"
"""Names of the folder of pictures, of the table that raters fill in, and of what tells which picture is which."""
_TASKS = ("reconstruction",)
_SEED = 0


def export(evidence: Evidence, raters: Raters, out: Path) -> int:
    """Writes pairs of reconstructions and originals under numbers in a shuffled order, and returns how many.

    `ratings.csv` has a line for each number with an empty column for each question; `key.csv`, which raters must not
    see, tells sample, point and head. The same findings give the same files.

    Raises `ProbeError` where nothing was reconstructed, or `out` cannot be written.
    """
    found = []
    for run in pictured(evidence, raters.measure, raters.points, _TASKS).runs:
        for predicted in predictions(run, evenly_tested(run.result, raters.samples)):
            drawn, truth = (drawing.fitted(drawing.as_bytes(middle(own))) for own in reconstruction(predicted))
            found.append((str(predicted.sample["id"]), run.point, run.result.head, drawn, truth))
    found = [found[place] for place in np.random.default_rng(_SEED).permutation(len(found))]
    try:
        (out / PICTURES).mkdir(parents=True, exist_ok=True)
        for number, (_, _, _, drawn, truth) in enumerate(found, start=1):
            for name, picture in (("reconstruction", drawn), ("original", truth)):
                write_file(out / PICTURES / f"{number:04d}-{name}.png", _png(picture))
        numbers = [f"{number:04d}" for number in range(1, len(found) + 1)]
        _write_table(out / SHEET, ["picture", *raters.questions], [[number] for number in numbers])
        _write_table(
            out / KEY,
            ["picture", "sample", "point", "head"],
            [[number, *own[:3]] for number, own in zip(numbers, found, strict=True)],
        )
    except OSError as error:
        raise ProbeError(f"cannot write what raters judge to {out}: {error.strerror or error}") from error
    return len(found)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _write_table(path: Path, heading: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(heading)
    table.writerows([*row, *[""] * (len(heading) - len(row))] for row in rows)
    write_file(path, text.getvalue().encode())
