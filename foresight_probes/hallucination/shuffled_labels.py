"""Training labels in another order, which a detector can learn nothing from but what stayed in place."""

from collections.abc import Sequence

import numpy as np


def shuffled_labels(labels_N: np.ndarray, *, within: Sequence[str] | None = None, seed: int = 0) -> np.ndarray:
    """Returns training labels in random order; with `within`, exchanged among questions of one category alone.

    Labels that were exchanged everywhere leave nothing to learn: the detector shows what chance makes. Those that
    stayed in their category leave its rate: the detector shows what the features know of the category. Test labels
    must stay as they are.

    >>> labels = np.array([1, 1, 0, 0, 0])
    >>> int(shuffled_labels(labels, seed=1).sum())
    2
    >>> shuffled_labels(labels, within=["a", "a", "b", "b", "b"], seed=1).tolist()
    [1, 1, 0, 0, 0]
    """
    generator = np.random.default_rng(seed)
    labels = np.asarray(labels_N)
    if within is None:
        return generator.permutation(labels)
    shuffled, categories_N = labels.copy(), np.asarray(within)
    for category in dict.fromkeys(within):
        rows = np.flatnonzero(categories_N == category)
        shuffled[rows] = generator.permutation(labels[rows])
    return shuffled
