"""Silhouettes of labelled points: how much nearer they lie to their own class than to the nearest other one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import pairwise_distances, silhouette_score

from foresight_probes.metrics import Scores
from foresight_probes.statistics.bootstrap import resampled
from foresight_probes.statistics.groups import effective_groups
from foresight_probes.statistics.interval import Interval
from foresight_probes.statistics.scales import deviation

RESAMPLES = 100
PERMUTATIONS = 20
_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Silhouette:
    """The mean silhouette of points in classes."""

    interval: Interval
    """From random halves of the groups (`bootstrap.resampled`)."""
    chance: Interval
    """The mean over permutations of the labels, from the least to the greatest of them."""
    points: int
    classes: int


def distances_of(points_ND: np.ndarray) -> np.ndarray:
    """Returns Euclidean distances between all points, float64 [N, N], exactly 0 on the diagonal."""
    distances_NN: np.ndarray = pairwise_distances(points_ND.astype(np.float64))
    np.fill_diagonal(distances_NN, 0.0)
    return distances_NN


def silhouette(
    distances_NN: np.ndarray, labels_N: np.ndarray, groups: Sequence[str], *, seed: int = 0
) -> Silhouette | None:
    """Returns the mean silhouette with its interval and with what exchanged labels make; None for a single class.

    The silhouette of a point is (b - a) / max(a, b), with a its mean distance to the others of its class and b the
    least mean distance to those of another one (Rousseeuw, "Silhouettes", Journal of Computational and Applied
    Mathematics 1987). The interval is Student's, with the spread over random halves of the groups, whose points are
    there once and not twice, as they would be in a bootstrap with distances of 0 between copies.

    Args:
        distances_NN: Distances between all points.
        labels_N: Class of each point, int.
        groups: Group of each point; points of one group are not independent of each other.
        seed: Decides halves and permutations.
    """
    value = _mean(distances_NN, labels_N)
    if value is None:
        return None

    def statistic(_: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
        found = [_mean(distances_NN[np.ix_(kept, kept)], labels_N[kept]) for kept in map(np.flatnonzero, counts_RS)]
        return {"silhouette": np.array([np.nan if own is None else own for own in found])}

    own = effective_groups(groups)
    draws = resampled(labels_N[:, None], groups, statistic, resamples=RESAMPLES, seed=seed, halves=True)["silhouette"]
    half = 0.0
    if own > 1 and len(draws) > 1:
        half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, own - 1)) * deviation(draws, own)
    generator = np.random.default_rng(seed)
    chances = [_mean(distances_NN, generator.permutation(labels_N)) or 0.0 for _ in range(PERMUTATIONS)]
    return Silhouette(
        interval=Interval(value, value - half, value + half),
        chance=Interval(float(np.mean(chances)), min(chances), max(chances)),
        points=len(labels_N),
        classes=len(np.unique(labels_N)),
    )


def _mean(distances_NN: np.ndarray, labels_N: np.ndarray) -> float | None:
    """Returns None where there is a single class, or every point is one of its own."""
    if not 2 <= len(np.unique(labels_N)) < len(labels_N):
        return None
    return float(silhouette_score(distances_NN, labels_N, metric="precomputed"))
