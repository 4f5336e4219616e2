"""Detectors of hallucinated answers on the same tested questions: vectors, their controls, and baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from foresight_cache.errors import ForesightError, ProbeError
from foresight_cache.reader import Cache
from foresight_probes.predictions.kept_run import file_of
from foresight_probes.results.result import Result, load_result, result_path
from foresight_probes.studies.answered_questions import Tested, tested
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.judged_answers import TASK
from foresight_probes.studies.named_points import single_points
from foresight_probes.studies.recommendation import recommend
from foresight_probes.studies.study import Measure, SectionRequest

CATEGORY = "category's rate"
CONTROLS: Mapping[str, str] = {"shuffled": "shuffled labels", "random-twin": "random weights"}
"""Controls of runs that are shown beside each vector, with their names in tables."""
BASELINE_NAMES: Mapping[str, str] = {
    "first_token_regression": "all numbers of the answer, by regression",
    "first_token_entropy": "entropy of the first token",
    "first_token_log_probability": "log-probability of the first token, negative",
    "mean_entropy": "mean entropy of the tokens",
    "mean_log_probability": "mean log-probability of the tokens, negative",
    "yes_no_uncertainty": "1 - |p(yes) - p(no)| of the first token",
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Detector:
    """Scores of all tested questions by one detector."""

    name: str
    """What reads: the title of the measure, or the baseline."""
    point: str
    """What is read; empty for baselines."""
    scores: np.ndarray
    """[S] float64, the higher the likelier a hallucination."""
    are_probabilities: bool
    result: Result | None = None
    """Run behind it; None for baselines."""
    exchanged: np.ndarray | None = None
    """Labels [S] that were exchanged between questions for it; None where they are the questions' own."""

    @property
    def label(self) -> str:
        """Its name with what it reads."""
        return f"{self.name}, {shown_point(self.point)}" if self.point else self.name


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Compared:
    """Detectors on the same tested questions."""

    tested: Tested
    cache: Cache
    baselines: tuple[Detector, ...]
    """The category's rate first, then those from numbers of the answer."""
    vectors: tuple[Detector, ...]
    """Those that read features, in the order of measures and of computation."""
    missing: tuple[str, ...]
    """What is not measured, in sentences."""

    @property
    def every(self) -> tuple[Detector, ...]:
        """All of them."""
        return (*self.baselines, *self.vectors)


def compared(evidence: Evidence, request: SectionRequest) -> Compared:
    """Returns the detectors of the measures of a request at its points, of those that tested the same questions.

    Raises `ProbeError` where a measure is not of this task, or nothing was measured.
    """
    known: Tested | None = None
    cache: Cache | None = None
    vectors: list[Detector] = []
    missing: list[str] = []
    for name, measure in measures_of(evidence, request):
        for point, result in results_of(evidence, name, request.points, missing):
            own_cache = evidence.caches[evidence.study.runs[measure.runs].dataset]
            own = tested(result, own_cache)
            if known is None:
                known, cache = own, own_cache
            elif own.ids != known.ids:
                missing.append(f"{measure.title} at {point} tested other questions")
                continue
            vectors.append(
                Detector(
                    name=measure.title,
                    point=point,
                    scores=probabilities_of(result, known.ids),
                    are_probabilities=True,
                    result=result,
                )
            )
    if known is None or cache is None:
        raise ProbeError("; ".join(missing) or f"no cache has a point of {', '.join(request.points)}")
    baselines, lacking = _baselines(known)
    return Compared(
        tested=known,
        cache=cache,
        baselines=tuple(baselines),
        vectors=tuple(vectors),
        missing=(*dict.fromkeys(missing), *lacking),
    )


def measures_of(evidence: Evidence, request: SectionRequest) -> Iterator[tuple[str, Measure]]:
    """Yields the measures of a request. Raises `ProbeError` for one that is not of the task `hallucination`."""
    for name in request.measures:
        measure = evidence.study.measures.get(name)
        if measure is None or measure.task != TASK:
            raise ProbeError(f"{name} is no measure of the task {TASK}, whose scores of questions are compared")
        yield name, measure


def results_of(
    evidence: Evidence, name: str, points: Sequence[str], missing: list[str]
) -> Iterator[tuple[str, Result]]:
    """Yields points with the first seed's run of the head that is read there; adds what there is not to `missing`."""
    measure = evidence.study.measures[name]
    if why := evidence.missing.get(measure.runs) or evidence.missing.get(f"{measure.runs}.{measure.task}"):
        missing.append(f"{measure.title}: {why}")
        return
    found = evidence.points(evidence.study.runs[measure.runs].points, name)
    wanted = set(evidence.points(points, name)) if points else set(found)
    if not wanted:
        missing.append(f"{measure.title}: {evidence.why_missing(measure, ', '.join(points) or 'any point')}")
    for point in found:
        if point not in wanted:
            continue
        reading = evidence.reading(name, point)
        if reading.results:
            yield point, stored(evidence, measure, reading.results[0])
        else:
            missing.append(f"{measure.title} at {point}: {reading.unfit or reading.reason}")


def stored(evidence: Evidence, measure: Measure, result: Result) -> Result:
    """Returns a result with the scores of its task, which derived metrics put others in the place of."""
    return next(own for own in evidence.results[measure.runs] if own.identity == result.identity)


def probabilities_of(result: Result, ids: Sequence[str]) -> np.ndarray:
    """Returns the probability of a hallucination for each of some questions that a run tested, [S] float64."""
    logits = {score.id: score.scores[1] for score in result.scores}
    probabilities: np.ndarray = expit(np.array([logits[name] for name in ids], np.float64))
    return probabilities


def controls_of(own: Detector, ids: Sequence[str]) -> Iterator[Detector]:
    """Yields the controls of `CONTROLS` that stand beside a vector's run and tested the same questions."""
    if own.result is None:
        return
    for control, name in CONTROLS.items():
        beside = _control_result(own.result, control)
        if beside is None or {score.id for score in beside.scores} != set(ids):
            continue
        labels = {score.id: int(score.scores[0]) for score in beside.scores}
        labels_S = np.array([labels[name] for name in ids], dtype=np.int64)
        truth = {score.id: int(score.scores[0]) for score in own.result.scores}
        is_own = all(labels[name] == truth[name] for name in ids)
        yield Detector(
            name=name,
            point=own.point,
            scores=probabilities_of(beside, ids),
            are_probabilities=True,
            result=beside,
            exchanged=None if is_own else labels_S,
        )


def _control_result(result: Result, control: str) -> Result | None:
    """Returns the run of a control that stands beside a run; None where there is none."""
    try:
        path = file_of(result)
        own = result_path(path.parents[2], task=result.task, point=result.point, run=result.run, control=control)
        return load_result(own) if own.is_file() else None
    except ForesightError:
        return None


def asked_points(evidence: Evidence, request: SectionRequest, measure: str) -> tuple[str, ...]:
    """Returns the points of a request that a measure's cache has; the recommended one where none is named."""
    return evidence.points(request.points or (best_point(evidence),), measure)


def shown_point(point: str) -> str:
    """Returns a point with spaces about each +, where a line may break."""
    return " + ".join(single_points(point))


def best_point(evidence: Evidence) -> str:
    """Returns the point that validation recommends; empty where none is."""
    found = recommend(evidence)
    return found.point if found else ""


def _baselines(known: Tested) -> tuple[list[Detector], list[str]]:
    found = [Detector(name=CATEGORY, point="", scores=known.category_rates, are_probabilities=True)]
    missing = []
    for own in known.baselines:
        name = BASELINE_NAMES.get(own.name, own.name.replace("_", " "))
        if own.scores is None:
            missing.append(f"{name}: {own.reason}")
        else:
            found.append(Detector(name=name, point="", scores=own.scores, are_probabilities=own.are_probabilities))
    return found, missing
