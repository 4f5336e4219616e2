"""The coordinates of features in four numbers, by which a point of a model is compared with planted geometries."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

TOKENS = 2048
"""Tokens of which coordinates are measured, of planted points and of others alike: the numbers depend on how many."""
SLACK = 2.0
"""Factor by which features may go beyond what was calibrated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coordinates:
    """Properties of features that make them hard to read, each a ratio of the largest to the usual."""

    channels: float
    """Number of channels."""
    outliers: float
    """Largest standard deviation of a channel, over the median one."""
    massive: float
    """Largest norm of a token whose channels are standardised, over the median one."""
    condition: float
    """Largest variance along a direction of such tokens, over the median one."""


def measured(tokens_ND: np.ndarray) -> Coordinates:
    """Returns the coordinates of some `TOKENS` tokens from many samples; channels that do not vary are left out."""
    values = tokens_ND.astype(np.float64)
    mean, deviation = values.mean(0), values.std(0)
    varies = deviation > 1e-6 * (1 + np.abs(mean))
    standardised = (values[:, varies] - mean[varies]) / deviation[varies]
    variances = np.linalg.svd(standardised, compute_uv=False) ** 2
    norms = np.linalg.norm(standardised, axis=1)
    return Coordinates(
        channels=tokens_ND.shape[1],
        outliers=float(deviation.max() / np.median(deviation[varies])),
        massive=float(norms.max() / np.median(norms)),
        condition=float(variances[0] / np.median(variances[variances > 1e-9 * variances[0]])),
    )


def beyond(own: Coordinates, calibrated: Iterable[Coordinates]) -> str:
    """Returns the properties that go beyond those of all calibrated geometries, in words; empty for none.

    >>> flat = Coordinates(channels=96, outliers=2.0, massive=3.0, condition=100.0)
    >>> beyond(Coordinates(channels=96, outliers=50.0, massive=5.0, condition=700.0), [flat])
    'outliers of 50 (calibrated up to 2), condition of 700 (calibrated up to 100)'
    """
    known = [asdict(other) for other in calibrated]
    parts = []
    for name, value in asdict(own).items():
        most = max((other[name] for other in known), default=0.0)
        if value > SLACK * most:
            parts.append(f"{name} of {value:.4g} (calibrated up to {most:.4g})")
    return ", ".join(parts)
