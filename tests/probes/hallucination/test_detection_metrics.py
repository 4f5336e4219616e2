"""Metrics of detectors against scikit-learn, and intervals that see images and not questions."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from foresight_cache.errors import ProbeError
from foresight_probes.hallucination.detection_metrics import BINS, DetectionMetrics, auroc_of, detection_metrics


def scored(count: int, *, digits: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities, many of them equal where there are few digits."""
    generator = np.random.default_rng(seed)
    probability_S = np.round(generator.beta(0.7, 2.0, count), digits)
    return (generator.random(count) < 0.2 + 0.5 * probability_S).astype(np.int64), probability_S


@pytest.mark.parametrize("digits", [1, 6])
def test_values_are_those_of_scikit_learn(digits: int) -> None:
    labels_S, probability_S = scored(700, digits=digits)
    found = detection_metrics(labels_S, probability_S, list(map(str, range(700))), resamples=20)
    assert value(found, "auroc") == pytest.approx(roc_auc_score(labels_S, probability_S), abs=1e-12)
    assert value(found, "auprc") == pytest.approx(average_precision_score(labels_S, probability_S), abs=1e-12)
    assert value(found, "brier") == pytest.approx(brier_score_loss(labels_S, probability_S), abs=1e-12)
    assert value(found, "base_rate") == labels_S.mean()
    assert (found.samples, found.positives, found.groups) == (700, labels_S.sum(), 700)


def test_expected_calibration_error_is_that_of_the_curve_of_scikit_learn() -> None:
    labels_S, probability_S = scored(900, digits=6)
    rate_K, mean_K = calibration_curve(labels_S, probability_S, n_bins=BINS)
    size_K = np.histogram(probability_S, np.linspace(0, 1, BINS + 1))[0]
    expected = (size_K[size_K > 0] / 900 * np.abs(rate_K - mean_K)).sum()
    found = detection_metrics(labels_S, probability_S, list(map(str, range(900))), resamples=20)
    assert value(found, "calibration_error") == pytest.approx(expected, abs=1e-12)


def test_resamples_are_those_of_repeated_samples() -> None:
    labels_S, scores_S = scored(60, digits=2)
    counts_RS = np.random.default_rng(1).integers(0, 3, (5, 60))
    found_R = auroc_of(labels_S, scores_S, counts_RS)
    for own, counts_S in zip(found_R, counts_RS, strict=True):
        assert own == pytest.approx(roc_auc_score(labels_S.repeat(counts_S), scores_S.repeat(counts_S)), abs=1e-12)


def test_questions_that_share_images_tell_less() -> None:
    """Ten copies of each question about one image make no interval narrower; as images of their own they would."""
    labels_S, probability_S = (each.repeat(10) for each in scored(100, digits=6))
    images = [str(number // 10) for number in range(1000)]
    by_image = detection_metrics(labels_S, probability_S, images)
    by_question = detection_metrics(labels_S, probability_S, list(map(str, range(1000))))
    single = detection_metrics(*scored(100, digits=6), list(map(str, range(100))))
    for name in ("auroc", "base_rate", "brier"):
        widths = [high - low for low, high in (ends(found, name) for found in (by_image, by_question, single))]
        assert widths[0] == pytest.approx(widths[2], rel=0.05)
        assert widths[1] < 0.5 * widths[0]


def test_intervals_hold_what_is_true() -> None:
    """Of 95 % intervals of the AUROC of one model on 60 images with three questions each, most hold the true one."""
    truth, held = 0.5 + 0.5 * 0.5205, 0  # P(N(1, 1) > N(0, 1)) = Φ(1/√2)
    for seed in range(100):
        generator = np.random.default_rng([3, seed])
        labels_S = generator.integers(2, size=180)
        scores_S = labels_S + generator.normal(size=180)
        images = [str(number // 3) for number in range(180)]
        low, high = ends(detection_metrics(labels_S, scores_S, images, are_probabilities=False, resamples=200), "auroc")
        held += low <= truth <= high
    assert 89 <= held <= 100


def test_what_is_not_defined_is_not_measured() -> None:
    found = detection_metrics(np.zeros(5, np.int64), np.linspace(0, 1, 5), list("abcde"), resamples=20)
    assert (found.auroc, found.auprc, found.positives) == (None, None, 0)
    ranked = detection_metrics(np.array([0, 1]), np.array([-3.0, 9.0]), ["a", "b"], are_probabilities=False)
    assert (ranked.brier, ranked.calibration_error) == (None, None)
    assert value(ranked, "auroc") == 1


def test_undecided_answers_have_no_label() -> None:
    for labels in ([0, 1, 2], [0, 1, -1], np.array([0, 1, None])):
        with pytest.raises(ProbeError, match="a label is neither 0 nor 1, .*; leave out undecided answers"):
            detection_metrics(np.asarray(labels), np.zeros(3), list("abc"))


def value(found: DetectionMetrics, name: str) -> float:
    return float(getattr(found, name).value)


def ends(found: DetectionMetrics, name: str) -> tuple[float, float]:
    interval = getattr(found, name)
    return interval.low, interval.high
