"""Intervals of means over samples, and of ratios of sums over samples, from samples that are drawn again by group."""

from collections.abc import Sequence

import numpy as np

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import ratio
from foresight_probes.statistics.bootstrap import bootstrap
from foresight_probes.statistics.interval import Interval


def mean_of(values_S: np.ndarray, groups: Sequence[str], reason: str = "not defined for any sample") -> Interval | str:
    """Returns the mean over samples for which it is defined; why there is none, in words.

    >>> mean_of(np.array([1.0, np.nan, 3.0]), ["a", "b", "c"]).value
    2.0
    """
    has_S = np.isfinite(values_S)
    if not has_S.any():
        return f"not measured: {reason}"
    kept = [group for group, has in zip(groups, has_S, strict=True) if has]
    return ratio_of(np.stack([values_S[has_S], np.ones(has_S.sum())], axis=1), kept)


def ratio_of(sums_S2: np.ndarray, groups: Sequence[str]) -> Interval | str:
    """Returns the sum of the first over the sum of the second of each sample's two numbers.

    >>> ratio_of(np.array([[1.0, 2.0], [2.0, 4.0]]), ["a", "b"])
    Interval(value=0.5, low=0.5, high=0.5)
    """
    found = bootstrap(sums_S2, groups, _ratio)
    return found.get("ratio", "not measured: there is nothing to divide by")


def _ratio(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    sums_R2 = counts_RS @ np.asarray(scores)
    return {"ratio": ratio(sums_R2[:, 0], sums_R2[:, 1])}
