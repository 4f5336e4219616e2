"""Which spatial frequencies of a picture a reconstruction keeps."""

from itertools import pairwise

import numpy as np
from skimage.color import rgb2gray

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import ratio

NYQUIST = 0.5
"""Highest frequency along rows and columns, in cycles per pixel."""
EDGES = tuple(NYQUIST * 2 ** (-step / 2) for step in range(14, -1, -1))
"""Ends of the bands of frequencies, half an octave each, in cycles per pixel."""


KEPT = "kept_"
"""Beginning of the names of the shares that are kept, before the number of the band."""


def centres(edges: tuple[float, ...] = EDGES) -> tuple[float, ...]:
    """Returns the geometric mean of the two ends of each band."""
    return tuple((low * high) ** 0.5 for low, high in pairwise(edges))


def band_energies(picture_HWC: np.ndarray, truth_HWC: np.ndarray, edges: tuple[float, ...] = EDGES) -> np.ndarray:
    """Returns the energy of the true luminance and that of the error in each band of frequencies, [F, 2] float64.

    Both are windowed (Hann), so that the sides of the picture are no edges, and their means are taken out. The
    frequency is the distance from the origin of the plane of frequencies; the corners beyond `NYQUIST` are left out.

    Args:
        picture_HWC: Reconstruction in red, green and blue from 0 to 1.
        truth_HWC: The original.
        edges: Ends of the F bands, rising, in cycles per pixel.
    """
    truth = rgb2gray(truth_HWC)
    error = rgb2gray(picture_HWC) - truth
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in truth.shape))
    spectra = [np.square(np.abs(np.fft.fft2((own - own.mean()) * window))) for own in (truth, error)]
    frequency = np.hypot(np.fft.fftfreq(truth.shape[0])[:, None], np.fft.fftfreq(truth.shape[1])[None])
    band = np.digitize(frequency.ravel(), edges) - 1
    inside = (band >= 0) & (band < len(edges) - 1)
    sums = [np.bincount(band[inside], own.ravel()[inside], minlength=len(edges) - 1) for own in spectra]
    return np.stack(sums, axis=1)


def kept(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the share of the energy that is kept in each band, over all samples: 1 - that of the errors / the true.

    It is below 0 where the reconstruction adds more than there was. `scores` are flat `band_energies` of each sample;
    the names end with the numbers of the bands. Bands without energy are NaN.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(kept, [np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])])
    {'kept_0': 0.5}
    """
    flat = np.stack([np.asarray(score) for score in scores])
    sums_RF2 = (counts_RS @ flat).reshape(len(counts_RS), -1, 2)
    lost_RF = ratio(sums_RF2[..., 1], sums_RF2[..., 0])
    return {f"{KEPT}{band}": 1 - lost_RF[:, band] for band in range(lost_RF.shape[1])}


def lost_from(shares: dict[int, float], edges: tuple[float, ...] = EDGES, least: float = 0.5) -> float | None:
    """Returns the frequency above which every band keeps less than a share; None where the highest band keeps it.

    >>> lost_from({0: 0.9, 1: 0.2, 2: 0.6, 3: 0.1}, (0.05, 0.1, 0.2, 0.3, 0.5))
    0.3
    """
    bands = sorted(shares)
    last = max((band for band in bands if shares[band] >= least), default=None)
    if last is None:
        return edges[bands[0]]
    return None if last == bands[-1] else edges[last + 1]
