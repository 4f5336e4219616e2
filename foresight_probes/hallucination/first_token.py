"""Detectors from the numbers of the answer itself: how sure the model was of what it said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foresight_probes.hallucination.logistic_detector import PENALTIES, fit_logistic

DIRECTIONS: Mapping[str, float] = {
    "first_token_log_probability": -1.0,
    "first_token_entropy": 1.0,
    "mean_log_probability": -1.0,
    "mean_entropy": 1.0,
}
"""Numbers of an answer, with the sign that makes more a likelier hallucination: an unsure model is wrong more often."""
ANSWER_NUMBERS = (*DIRECTIONS, "p_yes", "p_no")
"""Numbers that the regression takes; p(yes) and p(no) have no direction, as either may be right."""
REGRESSION = "first_token_regression"
"""Name of the logistic regression over all numbers of an answer."""
YES_NO = "yes_no_uncertainty"
"""Name of 1 - |p(yes) - p(no)|, which is 0 where the model is certain of one of the two."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Baseline:
    """One detector from numbers of answers."""

    name: str
    scores: np.ndarray | None
    """Of the test rows, the higher the likelier a hallucination; None where it is not measured."""
    are_probabilities: bool
    reason: str = ""
    """Why it is not measured."""


def first_token_baselines(
    numbers: Mapping[str, np.ndarray],
    labels_N: np.ndarray,
    images: Sequence[str],
    *,
    train: np.ndarray,
    test: np.ndarray,
    penalties: Sequence[float] = PENALTIES,
) -> list[Baseline]:
    """Returns the baselines of the test rows: each number by itself, and a regression that is fitted on training rows.

    Args:
        numbers: Columns of `ANSWER_NUMBERS`, [N] float, NaN where a line of answers has none; a column may be missing.
        labels_N: 1 for a hallucinated answer, 0 for another.
        images: Group of each row, for the choice of the penalty.
        train: Rows that the regression is fitted on.
        test: Rows that are scored.
        penalties: Strengths that the regression chooses from.
    """
    found = [_alone(name, sign, numbers, test) for name, sign in DIRECTIONS.items()]
    found.append(_yes_no(numbers, test))
    found.append(_regression(numbers, labels_N, images, train, test, penalties))
    return found


def _alone(name: str, sign: float, numbers: Mapping[str, np.ndarray], test: np.ndarray) -> Baseline:
    reason = _missing(numbers, (name,), test)
    scores = None if reason else sign * numbers[name][test]
    return Baseline(name=name, scores=scores, are_probabilities=False, reason=reason)


def _yes_no(numbers: Mapping[str, np.ndarray], test: np.ndarray) -> Baseline:
    reason = _missing(numbers, ("p_yes", "p_no"), test)
    scores = None if reason else 1 - np.abs(numbers["p_yes"][test] - numbers["p_no"][test])
    return Baseline(name=YES_NO, scores=scores, are_probabilities=False, reason=reason)


def _regression(
    numbers: Mapping[str, np.ndarray],
    labels_N: np.ndarray,
    images: Sequence[str],
    train: np.ndarray,
    test: np.ndarray,
    penalties: Sequence[float],
) -> Baseline:
    reason = _missing(numbers, ANSWER_NUMBERS, np.concatenate([train, test]))
    if reason:
        return Baseline(name=REGRESSION, scores=None, are_probabilities=True, reason=reason)
    inputs_ND = np.stack([np.asarray(numbers[name], dtype=np.float64) for name in ANSWER_NUMBERS], axis=1)
    groups = [images[row] for row in train]
    detector = fit_logistic(inputs_ND[train], np.asarray(labels_N)[train], groups, penalties=penalties)
    return Baseline(name=REGRESSION, scores=detector.probabilities(inputs_ND[test]), are_probabilities=True)


def _missing(numbers: Mapping[str, np.ndarray], names: Sequence[str], rows: np.ndarray) -> str:
    """Returns why a baseline is not measured; empty where all its numbers are there."""
    for name in names:
        if name not in numbers:
            return f"the answers have no {name}"
        lacking = int((~np.isfinite(np.asarray(numbers[name], dtype=np.float64)[rows])).sum())
        if lacking:
            return f"{lacking} of {len(rows)} answers have no {name}"
    return ""
