"""The part of a number's uncertainty that comes from the training samples: heads found from others read otherwise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Counted(NamedTuple):
    """Resamples of a statistic that vary as much as it would with other test and other training samples."""

    draws: np.ndarray
    """[R] float64, too narrow by √((n - 1) / n), as those of n groups are."""
    groups: float
    """This n: one more than the degrees of freedom of the spread."""


def counted(draws: np.ndarray, groups: float, refits: Sequence[float], *, seed: int = 0) -> Counted:
    """Adds to each resample of the test samples a deviation for the training samples, drawn at random.

    Their variance is the jackknife's, (K - 1) / K Σ (θ - mean)² over K heads of which each was found without another of
    K parts. On the average it is no less than the true one (Efron and Stein, "The Jackknife Estimate of Variance",
    Annals of Statistics 1981), and up to four times as large. The two parts are independent; the degrees of freedom of
    their sum are Satterthwaite's ("An Approximate Distribution of Estimates of Variance Components", Biometrics 1946).

    Args:
        draws: The statistic on resamples of the test samples, [R].
        groups: Effective groups of these.
        refits: Its values by the K heads; nothing is added for fewer than two.
        seed: Decides which deviation is added to which resample.

    >>> counted(np.array([0.5, 0.5]), 11.0, []).groups
    11.0
    >>> counted(np.array([0.5, 0.5]), 11.0, [0.4, 0.5, 0.6]).groups  # two degrees of freedom: test samples say nothing
    3.0
    """
    count = len(refits)
    if count < 2 or not len(draws) or groups <= 1:
        return Counted(draws, groups)
    deviations = (np.asarray(refits) - np.mean(refits)) * (count - 1) ** 0.5
    apart = (draws - draws.mean()) * (groups / (groups - 1)) ** 0.5
    parts = float(np.square(apart).mean()), float(np.square(deviations).mean())
    if parts[1] == 0:
        return Counted(draws, groups)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (groups - 1) + parts[1] ** 2 / (count - 1))
    generator = np.random.default_rng([seed, 2])
    added = generator.permutation(np.resize(deviations, len(draws)))
    return Counted(draws.mean() + (apart + added) * (freedom / (freedom + 1)) ** 0.5, freedom + 1)
