"""Answers against scikit-learn; calibration against its definition, bin by bin."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from torchmetrics.functional.classification import binary_calibration_error

from foresight_probes.metrics.classification_metrics import (
    binary_scores,
    binary_summary,
    calibration_error,
    class_scores,
    class_summary,
)
from foresight_probes.metrics.resamples import point_estimate


def answers(seed: int, count: int = 80, classes: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, classes - 1, (count,), generator=generator)  # the last class never occurs
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), truth] += 1
    return logits, truth


@pytest.mark.parametrize("seed", range(3))
def test_choices_equal_scikit_learn(seed: int) -> None:
    logits, truth = answers(seed)
    found = point_estimate(partial(class_summary, top=3), class_scores(logits, truth))
    chosen = logits.argmax(1).numpy()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, chosen))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, chosen))
    assert found["top_3"] == pytest.approx(top_k_accuracy_score(truth, logits, k=3, labels=range(7)))


def test_logits_that_are_all_equal_choose_the_first_class() -> None:
    found = class_scores(torch.zeros(3, 4), torch.tensor([0, 1, 3]))
    assert [each[[0, 2]].tolist() for each in found] == [[1, 0], [0, 1], [0, 3]]


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_equal_scikit_learn(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(60, generator=generator) < 0.3).float()
    logits = (torch.randn(60, generator=generator) + truth).round(decimals=1)  # with ties
    found = point_estimate(binary_summary, binary_scores(logits, truth))
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, logits))
    assert found["auprc"] == pytest.approx(average_precision_score(truth, logits))
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, logits >= 0))


def test_probabilities_are_not_taken_for_logits() -> None:
    """Sure logits all have probabilities near 1; the order among them must survive."""
    logits, truth = torch.tensor([20.0, 21.0, 22.0, 23.0]), torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert point_estimate(binary_summary, binary_scores(logits, truth))["auroc"] == 1


def test_a_constant_answer_tells_nothing_apart() -> None:
    """Equal logits have equal ranks, whatever the rounding of their probabilities."""
    for count in (5, 60, 61):
        truth = (torch.arange(count) % 3 == 0).float()
        found = point_estimate(binary_summary, binary_scores(torch.full((count,), -0.985), truth))
        assert found["auroc"] == 0.5
        assert found["auprc"] == pytest.approx(truth.mean().item())


def test_what_is_undefined_is_left_out() -> None:
    logits = torch.tensor([0.2, 0.2, -3.0, 4.0])
    never = point_estimate(binary_summary, binary_scores(logits, torch.zeros(4)))
    always = point_estimate(binary_summary, binary_scores(logits, torch.ones(4)))
    assert never.keys() == {"accuracy", "calibration_error"}
    assert always.keys() == {"auprc", "accuracy", "calibration_error"}
    assert always["auprc"] == 1


def drawn(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are too high, and whether the answers are right."""
    generator = np.random.default_rng(seed)
    confidence = generator.random(count)
    return confidence, (generator.random(count) < confidence**2).astype(float)


def test_calibration_bin_by_bin() -> None:
    confidence, right = drawn(0, 500)
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        away = right[inside].mean() - confidence[inside].mean()
        expected += inside.mean() * (away**2 - right[inside].var() / (inside.sum() - 1))
    assert calibration_error(confidence, right, np.ones((1, 500))) == pytest.approx(expected**0.5)
    assert calibration_error(np.ones(3), np.ones(3), np.ones((1, 3))) == 0


def test_calibration_of_many_samples_equals_torchmetrics() -> None:
    """Which takes nothing away from the squares."""
    confidence, right = drawn(0, 200_000)
    expected = binary_calibration_error(torch.tensor(confidence), torch.tensor(right).long(), n_bins=15, norm="l2")
    assert calibration_error(confidence, right, np.ones((1, 200_000))) == pytest.approx(float(expected), abs=2e-4)


def test_few_samples_do_not_look_less_calibrated_than_many() -> None:
    squares = [
        np.sign(error) * error**2 for error in (calibration_error(*drawn(n, 60), np.ones((1, 60))) for n in range(400))
    ]
    expected = calibration_error(*drawn(0, 200_000), np.ones((1, 200_000))) ** 2
    assert np.mean(squares) == pytest.approx(expected, abs=3 * np.std(squares) / 20)


def test_bins_of_one_sample_tell_no_variance() -> None:
    confidence, right = np.array([0.1, 0.5, 0.9]), np.array([0.0, 1.0, 1.0])
    assert np.isnan(calibration_error(confidence, right, np.ones((1, 3))))
    assert calibration_error(confidence, right, np.array([[0, 0, 2]])) == pytest.approx(0.1)
