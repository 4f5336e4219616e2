"""mIoU against scikit-learn, over all pixels of all samples together."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from foresight_probes.metrics.resamples import point_estimate
from foresight_probes.metrics.segmentation_metrics import class_counts, summary


def maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Found and true classes of 6×7 places, some of them without an answer, classes 2 and 5 in no map."""
    generator = np.random.default_rng(seed)
    truth = generator.choice([-1, 0, 1, 3, 4], (6, 7))
    found = np.where(generator.random((6, 7)) < 0.6, truth.clip(0), generator.choice([0, 1, 3, 6], (6, 7)))
    return found, truth


def test_it_equals_scikit_learn() -> None:
    pairs = [maps(seed) for seed in range(8)]
    found, truth = (np.concatenate([pair[side].reshape(-1) for pair in pairs]) for side in (0, 1))
    asked = truth >= 0
    assert point_estimate(summary, [class_counts(*pair) for pair in pairs]) == pytest.approx(
        {
            "miou": jaccard_score(truth[asked], found[asked], average="macro"),
            "accuracy": accuracy_score(truth[asked], found[asked]),
        }
    )


def test_classes_that_occur_nowhere_do_not_count() -> None:
    truth = np.array([[0, 7, 7]])
    assert point_estimate(summary, [class_counts(truth, truth)]) == {"miou": 1, "accuracy": 1}


def test_a_sample_without_answers_changes_nothing() -> None:
    found, truth = maps(0)
    silent = class_counts(found, np.full_like(truth, -1))
    assert len(silent) == 0
    assert point_estimate(summary, [class_counts(found, truth), silent]) == point_estimate(
        summary, [class_counts(found, truth)]
    )
