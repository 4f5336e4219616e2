"""What the category of a question tells of its answer, without image and without model."""

from collections.abc import Sequence

import numpy as np

SMOOTHING = 1.0
"""Samples at the overall rate that are added to each category."""


def category_rate(
    labels_N: np.ndarray,
    categories: Sequence[str],
    asked: Sequence[str],
    *,
    smoothing: float = SMOOTHING,
) -> np.ndarray:
    """Returns, for each question that is asked, the rate of hallucinated answers in its category in training.

    The rate is (positives + s · overall rate) / (samples + s); a category that training has not seen has the overall
    rate.

    Args:
        labels_N: Labels of the training samples.
        categories: Their categories.
        asked: Categories of the questions that are scored.
        smoothing: s, in samples; at least 0.

    >>> category_rate(np.array([1, 0, 0, 0]), ["a", "a", "b", "b"], ["a", "b", "new"], smoothing=2.0).round(3)
    array([0.375, 0.125, 0.25 ])
    """
    overall = float(np.mean(labels_N))
    counts: dict[str, list[float]] = {}
    for label, category in zip(labels_N, categories, strict=True):
        own = counts.setdefault(category, [0.0, 0.0])
        own[0] += float(label)
        own[1] += 1
    rates = {
        category: (positives + smoothing * overall) / (samples + smoothing)
        for category, (positives, samples) in counts.items()
    }
    return np.array([rates.get(category, overall) for category in asked])
