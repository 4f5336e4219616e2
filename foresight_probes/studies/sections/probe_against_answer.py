"""What a probe reads where the model answered right, and where it answered wrong: it knows, and does not say.

The probe's truth is in the annotations, such as the number of objects or the right answer to the question, and not in
what the model said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_cache.reader import Cache
from foresight_probes.hallucination.within_groups import mean_of_known
from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import mean, point_estimate
from foresight_probes.results.result import Result
from foresight_probes.statistics.bootstrap import resampled
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.scales import ends
from foresight_probes.studies import sections
from foresight_probes.studies.answered_questions import type_of
from foresight_probes.studies.detectors import results_of, shown_point
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.judged_answers import label_of
from foresight_probes.studies.parts import Cell, Part, Table, of_runs
from foresight_probes.studies.pictured import sample_values
from foresight_probes.studies.study import SectionRequest

METRIC = "accuracy"
"""Metric of a measure that tells of each sample whether the probe is right."""
_SHARES = ("model", "probe", "right", "wrong", "constant")
"""Values that are shares; others are differences of such."""
_OVERALL = {"model": "model right", "probe": "probe right", "probe less model": "probe less model"}
_APART = {
    "right": "model right",
    "wrong": "model wrong",
    "right less wrong": "right less wrong",
    "by truth": "the same, by true answer",
    "constant": "constant, model wrong",
}
"""Columns of the two tables by the names of `intervals`."""
_NOTE = (
    "The probe is right or wrong about what is in the annotations, the model about the question that it was asked, "
    "both of the same tested questions whose answer is judged. Intervals of 95 % are of whole images, all on the same "
    "resamples."
)
_NOTE_APART = (
    "How often the probe is right among questions that the model answers right, and among those that it answers wrong. "
    "Where the model tends to one answer, it is wrong where another is true, so that a constant answer can be right "
    "there: the last columns show the difference among questions with the same true answer, and how often the best "
    "constant answer is right where the model is wrong."
)


class Section(sections.Section):
    """For each of `measures`, of accuracy, at its `points`, or all; of questions of some `types`, or of all."""

    needs = ("measures",)
    takes = ("points", "types")

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns two tables. Raises `ProbeError` where no probe tested questions with a judged answer."""
        overall: list[tuple[Cell, ...]] = []
        apart: list[tuple[Cell, ...]] = []
        missing: list[str] = []
        for name in request.measures:
            measure = evidence.study.measures.get(name)
            if measure is None or measure.metric != METRIC:
                raise ProbeError(
                    f"{name} is no measure of {METRIC}, which tells of each question if the probe is right"
                )
            constant = next(
                (own for own in evidence.mean_predictors.get(measure.runs, ()) if own.task == measure.task), None
            )
            for point, result in results_of(evidence, name, request.points, missing):
                cache = evidence.caches[evidence.study.runs[measure.runs].dataset]
                pairs = answered(result, cache, request.types, constant)
                if pairs is None:
                    missing.append(f"{measure.title} at {point}: no tested question has a judged answer")
                else:
                    name_of_row = f"{measure.title}, {shown_point(point)}"
                    found = intervals(pairs)
                    overall.append((name_of_row, len(pairs.groups), *_cells(found, result, _OVERALL)))
                    apart.append((name_of_row, *_cells(found, result, _APART)))
        if not overall:
            raise ProbeError("; ".join(dict.fromkeys(missing)) or "nothing of it was measured")
        said = (f"Not measured: {text}." for text in dict.fromkeys(missing))
        return [
            Table(
                columns=("probe", "questions", *_OVERALL.values()),
                rows=tuple(overall),
                note=" ".join((_of_types(request), _NOTE, *said)).strip(),
            ),
            Table(
                title="Where the model answers right, and where it answers wrong",
                columns=("probe", *_APART.values()),
                rows=tuple(apart),
                note=_NOTE_APART,
            ),
        ]


def _of_types(request: SectionRequest) -> str:
    return f"Questions of {', '.join(request.types)} alone." if request.types else ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pairs:
    """Tested questions with a judged answer."""

    probe_S: np.ndarray
    """1 where the probe is right, 0 where it is not, float64."""
    model_S: np.ndarray
    """The same of the model."""
    truth_S: np.ndarray
    """What is true, as a number."""
    constant_S: np.ndarray
    """1 where the best constant answer is right; NaN where that is not known."""
    groups: tuple[str, ...]


def answered(result: Result, cache: Cache, types: Sequence[str], constant: Result | None) -> Pairs | None:
    """Returns the questions of some types, or of all, that a run tested and whose answer is judged; None for none."""
    rows = {row["id"]: row for row in cache.rows}
    right = sample_values(result, METRIC)
    beside = sample_values(constant, METRIC) if constant else {}
    chosen = [
        score
        for score in result.scores
        if score.id in right
        and label_of(rows[score.id]) is not None
        and (not types or type_of(rows[score.id]) in types)
    ]
    if not chosen:
        return None
    return Pairs(
        probe_S=np.array([right[score.id] for score in chosen]),
        model_S=np.array([float(label_of(rows[score.id]) is False) for score in chosen]),
        truth_S=np.array([score.scores[-1] for score in chosen]),
        constant_S=np.array([beside.get(score.id, np.nan) for score in chosen]),
        groups=tuple(score.group for score in chosen),
    )


def intervals(pairs: Pairs, *, resamples: int = 1000, confidence: float = 0.95) -> dict[str, Interval]:
    """Returns `model`, `probe`, `probe less model`, `right`, `wrong`, `right less wrong`, `by truth` and `constant`.

    What is not defined, as where the model is never wrong, is left out.
    """
    rows = np.stack([pairs.probe_S, pairs.model_S, pairs.truth_S, pairs.constant_S], axis=1)
    values = point_estimate(summary, rows)
    drawn = resampled(rows, pairs.groups, summary, resamples=resamples)
    effective = effective_groups(pairs.groups)
    found = {}
    for name, value in values.items():
        scale = METRIC if name in _SHARES else "difference"
        low, high = ends(scale, value, drawn[name], groups=effective, confidence=confidence)
        found[name] = Interval(value, low, high)
    return found


def summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the values of `intervals` on resamples of rows (probe right, model right, truth, constant right)."""
    probe_S, model_S, truth_S, constant_S = np.asarray(scores, np.float64).T
    is_right_S = model_S == 1
    right_R, wrong_R = (mean(probe_S[own_S], counts_RS[:, own_S]) for own_S in (is_right_S, ~is_right_S))
    model_R, probe_R = (mean(values, counts_RS) for values in (model_S, probe_S))
    found = {"model": model_R, "probe": probe_R, "probe less model": probe_R - model_R}
    found |= {"right": right_R, "wrong": wrong_R, "right less wrong": right_R - wrong_R}
    by_truth = [
        mean(probe_S[own_S & is_right_S], counts_RS[:, own_S & is_right_S])
        - mean(probe_S[own_S & ~is_right_S], counts_RS[:, own_S & ~is_right_S])
        for own_S in (truth_S == value for value in np.unique(truth_S))
        if (own_S & is_right_S).any() and (own_S & ~is_right_S).any()
    ]
    if by_truth:
        found["by truth"] = mean_of_known(np.stack(by_truth))
    if np.isfinite(constant_S).all():
        found["constant"] = mean(constant_S[~is_right_S], counts_RS[:, ~is_right_S])
    return found


def _cells(found: Mapping[str, Interval], result: Result, names: Mapping[str, str]) -> list[Cell]:
    return [of_runs(found.get(name), result) for name in names]
