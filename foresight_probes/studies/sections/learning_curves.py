"""What trained heads reach on validation after each epoch, from the logs that lie beside their results."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError
from foresight_probes.features.views import CHANNELS
from foresight_probes.results.metric_names import label
from foresight_probes.results.result import Result
from foresight_probes.studies import sections
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table
from foresight_probes.studies.study import Measure, SectionRequest
from foresight_probes.training.run_spec import RunSpec

LOGS, FILE, EPOCH = "logs", "metrics.csv", "step"
"""Folder of logs in that of the runs, name of a log, and its column of epochs."""
_NOTE = (
    "Each head with the step size, weight decay and inputs that validation chose for it. Epochs of all rounds are "
    "counted on; each round begins at the best epoch so far, with the step size rising again. The loss on the training "
    "samples is not in the logs, and is not shown."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """What a run reached on validation by epoch, or why that is not known."""

    result: Result
    values: dict[int, float]
    reason: str = ""


class Section(sections.Section):
    """A figure for each point of the group and task of each of `measures`, and a table of all runs.

    Of several step sizes, weight decays and inputs the one is drawn that validation chose; each seed is a line of its
    own. Heads that are solved have no epochs.
    """

    needs = ("measures", "points")
    takes = ("heads",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns figures and tables. Raises `ProbeError` where no run has a log that holds its epochs."""
        parts: list[Part] = []
        missing: list[tuple[str, str]] = []
        for name, own in _asked(evidence, request).items():
            points = evidence.points(request.points, name)
            curves = [_curve(result) for point in points for result in _results(evidence, own, point, request)]
            if any(curve.values for curve in curves):
                parts += [*_figures(own, curves), _table(own, curves)]
            else:
                reasons = [curve.reason for curve in curves] or [evidence.why_missing(own, ", ".join(request.points))]
                missing.append((f"{own.task} ({own.runs})", "; ".join(dict.fromkeys(reasons))))
        if not parts:
            raise ProbeError("; ".join(f"{name}: {reason}" for name, reason in missing))
        if missing:
            parts.append(Table(columns=("task", "why it has no curve"), rows=tuple(missing)))
        return parts


def _asked(evidence: Evidence, request: SectionRequest) -> dict[str, Measure]:
    """Returns one measure for each group and task. Raises `ProbeError` for what is no metric of runs."""
    asked: dict[tuple[str, str], tuple[str, Measure]] = {}
    for name in request.measures:
        own = evidence.study.measures.get(name)
        if own is None or not own.metric:
            raise ProbeError(f"{name} is no metric of runs, which alone are trained")
        asked.setdefault((own.runs, own.task), (name, own))
    return dict(asked.values())


def _results(evidence: Evidence, own: Measure, point: str, request: SectionRequest) -> list[Result]:
    return evidence.candidates(replace(own, heads=request.heads), point)


def _curve(result: Result) -> Curve:
    """Returns the curve of a run, from a log that tells the value by which it was selected.

    Of several it is the longest: that of a training that was interrupted is the beginning of what came after.
    """
    if not result.validation.get("learning_rate"):
        return Curve(result=result, values={}, reason=f"{result.head} is solved and has no epochs")
    if "folds" in result.split:
        return Curve(result=result, values={}, reason=f"{result.head} was trained in folds, each with a log of its own")
    if not isinstance(result.scores_source, Path):
        return Curve(result=result, values={}, reason="no file of the run is known")
    logs = sorted((result.scores_source.parents[2] / LOGS / result.point).glob(f"version_*/{FILE}"))
    logged = [values for path in logs if (values := _logged(path, _columns(result)))]
    own = [values for values in logged if _is_of(values, result)]
    if own:
        return Curve(result=result, values=_with_start(max(own, key=len), result))
    where = f"in {LOGS}/{result.point}"
    missing = f"{result.head} has no log of its epochs {where}"
    other = f"no log of {result.head} {where} tells the value in its file"
    return Curve(result=result, values={}, reason=other if logged else missing)


def _columns(result: Result) -> list[str]:
    """Returns the names that the column of a run may have: of its chosen values, with and without the inputs' name."""
    chosen: dict[str, Any] = dict(result.validation)
    run = RunSpec(result.task, result.head, result.seed, chosen["learning_rate"], chosen.get("weight_decay"))
    inputs = str(chosen.get("inputs", CHANNELS))
    names = [f"{run}/{inputs}", *([str(run)] if inputs == CHANNELS else [])]
    return [f"{name}/{result.primary}" for name in names]


def _logged(path: Path, columns: Sequence[str]) -> dict[int, float]:
    """Returns the values of the first of the columns by epoch; none where the log lacks them or is damaged.

    Two values for an epoch would be those of two runs, of which none is known to be this one: none are returned.
    """
    values: dict[int, float] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            column = next((name for name in columns if name in (reader.fieldnames or ())), None)
            for row in reader if column else ():
                if row[column or ""]:
                    epoch, value = int(row[EPOCH]), float(row[column or ""])
                    if values.setdefault(epoch, value) != value and not math.isnan(value):
                        return {}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}
    return dict(sorted(values.items()))


def _is_of(values: dict[int, float], result: Result) -> bool:
    """True where the log tells the value that selected the run; of one that stayed as it began it tells no other."""
    epoch, value = int(result.validation["epoch"]), float(result.validation["value"])
    return not epoch or (epoch in values and math.isclose(values[epoch], value, rel_tol=1e-6, abs_tol=1e-9))


def _with_start(values: dict[int, float], result: Result) -> dict[int, float]:
    """Returns the values with that of epoch 0 where it was kept, which is in the run's file alone."""
    began = not int(result.validation["epoch"]) and "answer" not in result.validation
    start = {0: float(result.validation["value"])} if began else {}
    return start | {epoch: value for epoch, value in values.items() if math.isfinite(value)}


def _figures(own: Measure, curves: Sequence[Curve]) -> list[Lines]:
    """Returns a figure for each point where any run has a curve."""
    several = len({curve.result.seed for curve in curves}) > 1
    by_point: dict[str, list[Series]] = {}
    for curve in curves:
        if curve.values:
            series = Series(
                name=curve.result.head + (f", seed {curve.result.seed}" if several else ""),
                places=tuple(map(float, curve.values)),
                values=tuple(curve.values.values()),
            )
            by_point.setdefault(curve.result.point, []).append(series)
    up = f"{label(curves[0].result.primary)} on validation"
    return [
        Lines(title=_title(own, point, series), across="epoch", up=up, series=tuple(series))
        for point, series in by_point.items()
    ]


def _title(own: Measure, point: str, series: Sequence[Series]) -> str:
    """Returns the title of a figure, with the head where a legend would not name it."""
    only = f", {series[0].name}" if len(series) == 1 else ""
    return f"{own.task} at {point} ({own.runs}{only})"


def _table(own: Measure, curves: Sequence[Curve]) -> Table:
    primary = label(curves[0].result.primary)
    return Table(
        title=f"{own.task} ({own.runs})",
        columns=("point", "head", "seed", "epochs", "kept", f"{primary} there", "step size", "inputs", "remark"),
        rows=tuple(_row(curve) for curve in curves),
        note=_NOTE,
    )


def _row(curve: Curve) -> tuple[Cell, ...]:
    result, chosen = curve.result, curve.result.validation
    named = (result.point, result.head, result.seed)
    if not curve.values:
        return (*named, None, None, None, None, None, curve.reason)
    remark = "" if chosen.get("converged", True) else "still becoming better when it was stopped"
    if not int(chosen["epoch"]):
        remark = "no epoch was better than its start"
    if "answer" in chosen:
        remark = "the constant answer is as good, and is kept"
    best = (int(chosen["epoch"]), float(chosen["value"]))
    return (*named, max(curve.values), *best, f"{chosen['learning_rate']:g}", chosen.get("inputs"), remark or None)
