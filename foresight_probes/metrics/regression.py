"""How far numbers and vectors are from the true ones."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.metrics.resamples import mean, ratio, variance
from foresight_probes.results.scores import Scores


def numbers(found: Tensor, truth: Tensor) -> np.ndarray:
    """What the metrics need to know of one number per sample: (found, true); both are [B]."""
    pairs: np.ndarray = torch.stack([found, truth], dim=1).cpu().double().numpy()
    return pairs


def number_summary(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
    """R², mean absolute error, and mean relative error |found - true| / |true| over samples that are not 0.

    R² = 1 - Σ (true - found)² / Σ (true - mean)²; it is undefined where all true values are equal, and the relative
    error where all are 0.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(number_summary, np.array([[1.0, 1.0], [3.0, 2.0], [3.0, 3.0]]))
    {'mae': 0.3333333333333333, 'r2': 0.5, 'relative_error': 0.16666666666666666}
    """
    found, truth = np.asarray(scores).T
    distance = np.abs(found - truth)
    there = truth != 0
    return {
        "mae": mean(distance, counts),
        "r2": 1 - ratio(mean(np.square(distance), counts), variance(truth, counts)),
        "relative_error": mean(distance[there] / np.abs(truth[there]), counts[:, there]),
    }


def vectors(found: Tensor, truth: Tensor) -> np.ndarray:
    """What the metrics need to know of the vectors [N, D] of one sample: (Σ residual², Σ true², mean cosine)."""
    found, truth = found.cpu().double(), truth.cpu().double()
    residual, total = (found - truth).square().sum(), truth.square().sum()
    cosine = functional.cosine_similarity(found, truth, dim=-1).mean()
    return torch.stack([residual, total, cosine]).numpy()


def vector_summary(scores: Scores, counts: np.ndarray) -> dict[str, np.ndarray]:
    """R² over all channels of all vectors, and the mean cosine.

    True vectors are standardised, so that their mean over the training samples is 0 and R² = 1 - Σ residual² / Σ true²
    compares with that mean; it is undefined where all true vectors are 0.

    >>> one = vectors(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> {name: round(value, 4) for name, value in point_estimate(vector_summary, [one]).items()}
    {'cosine': 0.7071, 'r2': 0.5}
    """
    residual, total, cosine = np.asarray(scores).T
    return {"cosine": mean(cosine, counts), "r2": 1 - ratio(counts @ residual, counts @ total)}
