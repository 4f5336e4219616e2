"""Detectors that have seen every source but the one that they are tested on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.detection_metrics import DetectionMetrics, detection_metrics
from foresight_probes.hallucination.logistic_detector import PENALTIES, fit_logistic
from foresight_probes.hallucination.questions import Questions, checked_vectors


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceLeftOut:
    """A source with what a detector from all other sources makes of it."""

    source: str
    samples: int
    positives: int
    trained_on: int
    """Samples of the other sources about images that this one does not have."""
    metrics: DetectionMetrics | None
    """None where it is not measured."""
    rows: np.ndarray
    """Rows of the source."""
    probabilities: np.ndarray | None
    """Of a hallucination, for these rows."""
    penalty: float | None
    """Strength that was chosen within the other sources."""
    reason: str = ""
    """Why it is not measured."""


def leave_one_source_out(
    vectors_ND: np.ndarray,
    questions: Questions,
    *,
    penalties: Sequence[float] = PENALTIES,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[SourceLeftOut]:
    """Fits a logistic regression on all other sources and tests it on this one, for each source in alphabetical order.

    Vectors are standardised, and the penalty chosen, within the other sources. Samples of them about an image that the
    tested source has too are left out. A source is not measured where it, or what remains, has one label alone.

    Raises: `ProbeError` where there is one source alone, or vectors are not one for each question.
    """
    vectors = checked_vectors(vectors_ND, questions.labels_N)
    names = sorted(set(questions.sources))
    if len(names) < 2:
        raise ProbeError(
            f"all {len(questions)} questions are from one source, expected at least 2 to leave one out; add answers of "
            "another benchmark"
        )
    found = []
    for name in names:
        rows = np.array([row for row, source in enumerate(questions.sources) if source == name])
        images = {questions.images[row] for row in rows}
        others = np.array([row for row, image in enumerate(questions.images) if image not in images], dtype=np.int64)
        found.append(_left_out(name, rows, others, vectors, questions, penalties, resamples, confidence, seed))
    return found


def _left_out(
    name: str,
    rows: np.ndarray,
    others: np.ndarray,
    vectors_ND: np.ndarray,
    questions: Questions,
    penalties: Sequence[float],
    resamples: int,
    confidence: float,
    seed: int,
) -> SourceLeftOut:
    own, rest = questions.take(rows), questions.take(others)
    positives = int(own.labels_N.sum())
    probabilities, metrics, penalty, reason = None, None, None, ""
    if not 0 < positives < len(own):
        reason = f"not measured: {'none' if positives == 0 else 'all'} of {len(own)} answers are hallucinated"
    else:
        try:
            detector = fit_logistic(vectors_ND[others], rest.labels_N, rest.images, penalties=penalties, seed=seed)
        except ProbeError as error:
            reason = f"not measured: {error}"
        else:
            probabilities, penalty = detector.probabilities(vectors_ND[rows]), detector.penalty
            metrics = detection_metrics(
                own.labels_N, probabilities, own.images, resamples=resamples, confidence=confidence, seed=seed
            )
    return SourceLeftOut(
        source=name,
        samples=len(own),
        positives=positives,
        trained_on=len(others),
        metrics=metrics,
        rows=rows,
        probabilities=probabilities,
        penalty=penalty,
        reason=reason,
    )
