"""Statistics of many resamples of the same samples at once, since intervals need a thousand for each run.

A resample is given by how often it has each sample: `counts_RS` for R resamples of S scored samples.
"""

from collections.abc import Callable, Mapping

import numpy as np

from foresight_probes.metrics import Scores

_BLOCK = 2**15
"""Counts that are processed together, so that they stay in the processor's cache."""
ROUNDING = 1e-24
"""Fraction of the mean square below which a variance is due to rounding."""

Statistic = Callable[[Scores, np.ndarray], Mapping[str, np.ndarray]]
"""Function from scores of S samples and counts [R, S] to named values [R], NaN for resamples that have none."""


def point_estimate(statistic: Statistic, scores: Scores) -> dict[str, float]:
    """Returns a statistic of all samples, each taken once; undefined values are left out.

    >>> point_estimate(lambda scores, counts: {"mean": mean(scores[:, 0], counts)}, np.array([[1.0], [2.0]]))
    {'mean': 1.5}
    """
    estimates = statistic(scores, np.ones((1, len(scores)), np.int64)) if len(scores) else {}
    return {name: float(values[0]) for name, values in estimates.items() if np.isfinite(values[0])}


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Returns part / whole, NaN where the whole is 0.

    >>> ratio(np.array([1.0, 0.0]), np.array([2, 0]))
    array([0.5, nan])
    """
    quotient = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole != 0)
    return quotient


def mean(values_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns the mean of each resample, [R].

    >>> mean(np.array([1.0, 4.0]), np.array([[1, 1], [2, 1], [0, 0]]))
    array([2.5, 2. , nan])
    """
    return ratio(counts_RS @ values_S, counts_RS.sum(-1))


def variance(values_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns the variance of each resample, [R]; exactly 0 where values differ by rounding alone.

    >>> variance(np.array([1.0, 3.0]), np.array([[1, 1], [0, 2]]))
    array([1., 0.])
    """
    away_RS = values_S - mean(values_S, counts_RS)[:, None]  # squares that lie far from zero would cancel each other
    variance_R = ratio(np.einsum("rn,rn->r", counts_RS, np.square(away_RS)), counts_RS.sum(-1))
    return np.where(variance_R > ROUNDING * mean(np.square(values_S), counts_RS), variance_R, 0)


def grouped_sums(values_S: np.ndarray, classes_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns the sums of values over the samples of each class, [R, K]; classes are numbers from 0.

    >>> grouped_sums(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), np.array([[1, 1, 1], [3, 0, 0]]))
    array([[2., 5.],
           [0., 3.]])
    """
    size = classes_S.max(initial=-1) + 1
    step = min(len(counts_RS), max(1, _BLOCK // max(1, len(classes_S))))
    indices = (classes_S + size * np.arange(step)[:, None]).ravel()
    blocks = []
    for first in range(0, len(counts_RS), step):
        weights = (values_S * counts_RS[first : first + step]).ravel()
        rows = len(weights) // max(1, len(classes_S))
        blocks.append(np.bincount(indices[: len(weights)], weights=weights, minlength=rows * size).reshape(rows, size))
    return np.concatenate(blocks)


def median(values_S: np.ndarray, counts_RS: np.ndarray) -> np.ndarray:
    """Returns the median of each resample, [R]: the mean of the middle two values where their number is even.

    >>> median(np.array([3.0, 1.0, 2.0]), np.array([[1, 1, 1], [1, 1, 0], [0, 2, 1], [0, 0, 0]]))
    array([ 2.,  2.,  1., nan])
    """
    order = np.argsort(values_S)
    rising, upto = np.append(values_S[order], np.nan), counts_RS[:, order].cumsum(-1)
    lower, upper = ((upto <= (upto[:, -1:] - less) // 2).sum(-1) for less in (1, 0))
    median_R: np.ndarray = (rising[lower] + rising[upper]) / 2
    return median_R
