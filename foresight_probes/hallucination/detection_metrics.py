"""How well scores detect hallucinated answers: ranking, calibration, and intervals that resample whole images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foresight_probes.hallucination.questions import checked_labels
from foresight_probes.metrics import Scores
from foresight_probes.metrics import classification_metrics as classification
from foresight_probes.metrics.resamples import grouped_sums, mean, ratio
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval

BINS = 15
"""Bins of equal width of the expected calibration error, as of Guo et al., ICML 2017."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionMetrics:
    """Metrics of one detector with their intervals; None where one is not defined."""

    auroc: Interval | None
    """None where only one label occurs."""
    auprc: Interval | None
    """Average precision; a detector that knows nothing has the base rate."""
    base_rate: Interval
    """Share of hallucinated answers."""
    brier: Interval | None
    """Mean of (probability - label)²; None for scores that are no probabilities."""
    calibration_error: Interval | None
    """Expected calibration error; None likewise."""
    samples: int
    positives: int
    groups: int


def detection_metrics(
    labels_S: np.ndarray,
    scores_S: np.ndarray,
    groups: Sequence[str],
    *,
    are_probabilities: bool = True,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> DetectionMetrics:
    """Measures scores, the higher the likelier a hallucination, with intervals from resamples of whole groups.

    Ends are those of `statistics.scales`: Student's of the log-odds for the areas, percentiles for the rest. The
    expected calibration error of a resample is greater by chance than that of all samples, so that its interval mostly
    lies above its value; `classification_metrics.calibration_error` has an estimate without this.

    Args:
        labels_S: 1 for a hallucinated answer, 0 for another.
        scores_S: Score of each, finite.
        groups: Group of each, such as its image.
        are_probabilities: Whether scores are probabilities, so that Brier score and calibration are defined.
        resamples: Resamples of groups.
        confidence: Confidence of the intervals.
        seed: Decides the draws.

    >>> found = detection_metrics(np.array([0, 1, 0, 1]), np.array([0.2, 0.6, 0.7, 0.9]), ["a", "b", "c", "d"])
    >>> found.auroc.value, round(found.auprc.value, 3), found.base_rate.value, round(found.brier.value, 3)
    (0.75, 0.833, 0.5, 0.175)
    """
    labels = checked_labels(labels_S)
    both = np.stack([labels.astype(np.float64), np.asarray(scores_S, dtype=np.float64)], axis=1)
    statistic = probability_summary if are_probabilities else ranking_summary
    found = bootstrap(both, groups, statistic, resamples=resamples, confidence=confidence, seed=seed)
    return DetectionMetrics(
        auroc=found.get("auroc"),
        auprc=found.get("auprc"),
        base_rate=found["base_rate"],
        brier=found.get("brier"),
        calibration_error=found.get("expected_calibration_error"),
        samples=len(labels),
        positives=int(labels.sum()),
        groups=len(set(groups)),
    )


def ranking_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns AUROC, AUPRC and base rate on resamples of rows (label, score); a `Statistic`."""
    truth_S, scores_S = np.asarray(scores).T
    yes, every = _by_rank(truth_S, scores_S, counts_RS)
    return {
        "auroc": classification.auroc(yes, every - yes),
        "auprc": classification.average_precision(yes, every),
        "base_rate": mean(truth_S, counts_RS),
    }


def probability_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns those of `ranking_summary`, and Brier score and expected calibration error; a `Statistic`."""
    truth_S, probability_S = np.asarray(scores).T
    return {
        **ranking_summary(scores, counts_RS),
        "brier": mean(np.square(probability_S - truth_S), counts_RS),
        "expected_calibration_error": expected_calibration_error(truth_S, probability_S, counts_RS),
    }


def expected_calibration_error(truth_S: np.ndarray, probability_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns Σ share of a bin · |mean probability - share of label 1| of each resample, [R], over 15 equal bins.

    >>> expected_calibration_error(np.array([0.0, 1.0]), np.array([0.1, 0.7]), np.array([[1, 1]])).round(3)
    array([0.2])
    """
    bins_S = np.minimum((probability_S * BINS).astype(int), BINS - 1)
    away_RK = grouped_sums(probability_S - truth_S, bins_S, counts_RS)
    return ratio(np.abs(away_RK).sum(-1), counts_RS.sum(-1))


def auroc_of(truth_S: np.ndarray, scores_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns the AUROC of each resample, [R]; NaN where it has one label alone.

    >>> auroc_of(np.array([0, 1, 1]), np.array([0.1, 0.1, 0.3]), np.array([[1, 1, 1], [0, 1, 1]]))
    array([0.75,  nan])
    """
    yes, every = _by_rank(np.asarray(truth_S, dtype=np.float64), scores_S, counts_RS)
    return classification.auroc(yes, every - yes)


def _by_rank(truth_S: np.ndarray, scores_S: np.ndarray, counts_RS: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ranks_S = np.unique(scores_S, return_inverse=True)[1]
    yes, every = (grouped_sums(values, ranks_S, counts_RS) for values in (truth_S, np.ones_like(truth_S)))
    return yes, every
