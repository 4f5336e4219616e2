"""Carries the runs of a calibration over to code that has changed, where they prove to be the same.

A calibration is valid for the code that decides what an instrument reads. Much that changes there changes no number: a
task learns of a new kind of input, a module is divided. Here some runs of each trained instrument are made again, one
of each kind of check and the hardest of these: where all their metrics are the same to `SAME`, the other runs are
taken over; where one is not, nothing is, and the instrument is to be calibrated anew. Solved ones take seconds and are
always made again.

    python -m pipelines.calibration_renewal CALIBRATION [TASK…]
"""

import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from foresight_probes.calibration.checks import FULL, Instrument, checks, instruments
from foresight_probes.calibration.planted import PlantedPoint
from foresight_probes.calibration.trainings import Training, place_of, trainings
from foresight_probes.results.result import Result, load_results
from foresight_probes.tasks import load
from foresight_probes.training.solvers import solver_of

SAME = 1e-6
"""Largest difference of a metric, relative to a value above 1, that is none."""
HARDEST = "llm"
"""Geometry that is tried of the rules that have several."""


def renew(calibration: Path, names: Sequence[str] | None = None) -> list[str]:
    """Returns a sentence for each trained instrument on what became of its runs, in the folder of a calibration."""
    trained = [own for own in instruments(FULL, names) if not solver_of(load(own.task), own.head)]
    return [f"{own.task}/{own.head}: {_renewed(calibration, own)}" for own in trained]


def _renewed(calibration: Path, instrument: Instrument) -> str:
    runs = calibration / "runs"
    place = runs / place_of(instrument)
    others = [folder for folder in runs.glob(f"{instrument.task}-{instrument.head}-*") if _is_of(folder, instrument)]
    before = max((other for other in others if other != place), key=_count, default=None)
    if before is None:
        return "no runs of other code"
    if place.exists() and _count(place) >= _count(before):
        return "its runs are of this code"
    tried = 0
    for training in _chosen(instrument):
        cache = training.cache.place(calibration).name
        old = {(result.point, result.head): result for result in _results(before / cache)}
        for (point,) in [training.points]:
            if (str(point), instrument.head) not in old:
                continue
            for result in training.results(calibration)[point]:
                if not _same(result, old[result.point, result.head]):
                    return f"not the same on {point}, so that it is to be calibrated anew"
                tried += 1
    if not tried:
        return "none of the runs to be tried are there"
    shutil.copytree(before, place, dirs_exist_ok=True, copy_function=_copy_missing)
    return f"{tried} runs are the same as before, and the others were taken over"


def _is_of(folder: Path, instrument: Instrument) -> bool:
    """Tells whether a folder's name ends with a digest behind task and head, rather than with more of a head's name."""
    return "-" not in folder.name.removeprefix(f"{instrument.task}-{instrument.head}-")


def _chosen(instrument: Instrument) -> list[Training]:
    """Returns a training for each kind of check, on the point that is the hardest of it."""
    points: dict[str, PlantedPoint] = {}
    for check in checks(instrument, FULL):
        if check.rule not in points or check.point.geometry == HARDEST:
            points[check.rule] = check.point
    single = [own for training in trainings(instrument, FULL) for own in training.single()]
    wanted = set(points.values())
    first: dict[PlantedPoint, Training] = {}
    for training in single:
        (point,) = training.points
        if point in wanted:
            first.setdefault(point, training)
    return list(first.values())


def _results(folder: Path) -> list[Result]:
    return load_results(folder) if folder.exists() else []


def _same(one: Result, other: Result) -> bool:
    """Tells whether two results have the same metrics, and chose the same on validation."""
    pairs = [(value.value, other.metrics[name].value) for name, value in one.metrics.items() if name in other.metrics]
    pairs.append((one.validation["value"], other.validation["value"]))
    return one.metrics.keys() == other.metrics.keys() and all(
        math.isclose(own, before, rel_tol=SAME, abs_tol=SAME) for own, before in pairs
    )


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*.parquet"))


def _copy_missing(source: str, target: str) -> str:
    """Keeps what was made by this code."""
    return target if Path(target).exists() else shutil.copy2(source, target)


if __name__ == "__main__":
    for line in renew(Path(sys.argv[1]), sys.argv[2:] or None):
        print(line, flush=True)
