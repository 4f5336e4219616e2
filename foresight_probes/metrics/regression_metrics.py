"""Errors of numbers and of vectors."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import mean, ratio, variance


def scalar_scores(values_B: Tensor, truth_B: Tensor) -> np.ndarray:
    """Returns per sample (predicted, true), [B, 2] float64."""
    pairs: np.ndarray = torch.stack([values_B, truth_B], dim=1).cpu().double().numpy()
    return pairs


def scalar_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns R², mean absolute error, and mean relative error |predicted - true| / |true| over samples that are not 0.

    R² = 1 - Σ (true - predicted)² / Σ (true - mean)²; it is undefined where all true values are equal, and the relative
    error where all are 0.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(scalar_summary, np.array([[1.0, 1.0], [3.0, 2.0], [3.0, 3.0]]))
    {'mae': 0.3333333333333333, 'r2': 0.5, 'relative_error': 0.16666666666666666}
    """
    predicted, truth = np.asarray(scores).T
    distance = np.abs(predicted - truth)
    nonzero = truth != 0
    return {
        "mae": mean(distance, counts_RS),
        "r2": 1 - ratio(mean(np.square(distance), counts_RS), variance(truth, counts_RS)),
        "relative_error": mean(distance[nonzero] / np.abs(truth[nonzero]), counts_RS[:, nonzero]),
    }


def vector_scores(vectors_ND: Tensor, truth_ND: Tensor) -> np.ndarray:
    """Returns (Σ residual², Σ true², mean cosine) of the vectors of one sample, [3] float64."""
    vectors, truth = vectors_ND.cpu().double(), truth_ND.cpu().double()
    residual, total = (vectors - truth).square().sum(), truth.square().sum()
    cosine = functional.cosine_similarity(vectors, truth, dim=-1).mean()
    return torch.stack([residual, total, cosine]).numpy()


def vector_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns R² over all channels of all vectors, and the mean cosine.

    True vectors are standardised, so that their mean over the training samples is 0 and R² = 1 - Σ residual² / Σ true²
    compares with that mean; it is undefined where all true vectors are 0.

    >>> one = vector_scores(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> {name: round(value, 4) for name, value in point_estimate(vector_summary, [one]).items()}
    {'cosine': 0.7071, 'r2': 0.5}
    """
    residual, total, cosine = np.asarray(scores).T
    return {"cosine": mean(cosine, counts_RS), "r2": 1 - ratio(counts_RS @ residual, counts_RS @ total)}
