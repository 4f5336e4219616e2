"""Metrics of many resamples of the same samples at once, since intervals need a thousand of each run.

A resample is told by how often it has each sample: `counts`, [R, N] of R resamples of N samples.
"""

from collections.abc import Callable, Mapping

import numpy as np

from foresight_probes.results.scores import Scores

_BLOCK = 2**15
"""Counts that are looked at together, so that they stay in the processor's own memory."""
ROUNDING = 1e-24
"""Share of the mean square below which a variance is due to rounding."""

Statistic = Callable[[Scores, np.ndarray], Mapping[str, np.ndarray]]
"""From scores of N samples and counts [R, N] to named values [R], NaN for resamples for which they are undefined."""


def point_estimate(statistic: Statistic, scores: Scores) -> dict[str, float]:
    """Of all samples, each of them once; what is undefined is left out, and of no samples all is.

    >>> point_estimate(lambda scores, counts: {"mean": mean(scores[:, 0], counts)}, np.array([[1.0], [2.0]]))
    {'mean': 1.5}
    """
    found = statistic(scores, np.ones((1, len(scores)), np.int64)) if len(scores) else {}
    return {name: float(values[0]) for name, values in found.items() if np.isfinite(values[0])}


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Their quotient, NaN where the whole is 0.

    >>> ratio(np.array([1.0, 0.0]), np.array([2, 0]))
    array([0.5, nan])
    """
    found = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=found, where=whole != 0)
    return found


def mean(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[R], of values [N].

    >>> mean(np.array([1.0, 4.0]), np.array([[1, 1], [2, 1], [0, 0]]))
    array([2.5, 2. , nan])
    """
    return ratio(counts @ values, counts.sum(-1))


def variance(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[R], of values [N]; exactly 0 where they differ by rounding alone.

    >>> variance(np.array([1.0, 3.0]), np.array([[1, 1], [0, 2]]))
    array([1., 0.])
    """
    away = values - mean(values, counts)[:, None]  # squares that lie far from zero would cancel each other
    found = ratio(np.einsum("rn,rn->r", counts, np.square(away)), counts.sum(-1))
    return np.where(found > ROUNDING * mean(np.square(values), counts), found, 0)


def grouped_sums(values: np.ndarray, kinds: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[R, K], the sums of values [N] over the samples of each kind; `kinds` [N] are numbers from 0.

    >>> grouped_sums(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), np.array([[1, 1, 1], [3, 0, 0]]))
    array([[2., 5.],
           [0., 3.]])
    """
    size = kinds.max(initial=-1) + 1
    step = min(len(counts), max(1, _BLOCK // max(1, len(kinds))))
    places = (kinds + size * np.arange(step)[:, None]).ravel()
    found = []
    for first in range(0, len(counts), step):
        weights = (values * counts[first : first + step]).ravel()
        rows = len(weights) // max(1, len(kinds))
        found.append(np.bincount(places[: len(weights)], weights=weights, minlength=rows * size).reshape(rows, size))
    return np.concatenate(found)


def median(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[R], of values [N]; the mean of the middle two where their number is even.

    >>> median(np.array([3.0, 1.0, 2.0]), np.array([[1, 1, 1], [1, 1, 0], [0, 2, 1], [0, 0, 0]]))
    array([ 2.,  2.,  1., nan])
    """
    order = np.argsort(values)
    rising, upto = np.append(values[order], np.nan), counts[:, order].cumsum(-1)
    lower, upper = ((upto <= (upto[:, -1:] - less) // 2).sum(-1) for less in (1, 0))
    middle: np.ndarray = (rising[lower] + rising[upper]) / 2
    return middle
