"""How near predicted latents are to true ones, sample by sample, beside the mean latent."""

import numpy as np
from torch import Tensor
from torch.nn import functional

from foresight_probes.metrics import Scores
from foresight_probes.metrics.resamples import mean, ratio

NAMES = ("mse", "cosine")
"""Numbers of a sample; R² is made of the first of a prediction and of the mean latent."""


def latent_numbers(latent_QC: Tensor, truth_QC: Tensor) -> tuple[float, float]:
    """Returns the mean squared error over all channels of all cells, and the mean cosine over cells.

    Both are of normalised latents, as they are cached.

    >>> import torch
    >>> error, cosine = latent_numbers(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    >>> error, round(cosine, 4)
    (0.5, 0.7071)
    """
    latent, truth = latent_QC.double(), truth_QC.double()
    cosine = functional.cosine_similarity(latent, truth, dim=-1).mean()
    return float((latent - truth).square().mean()), float(cosine)


def latent_summary(scores: Scores, counts_RS: np.ndarray) -> dict[str, np.ndarray]:
    """Returns `mse`, `cosine` and `r2` of scores [S, 3]: error and cosine of a prediction, error of the mean latent.

    R² = 1 - Σ error / Σ error of the mean latent of the training samples, which itself has 0 by that.

    >>> from foresight_probes.metrics.resamples import point_estimate
    >>> point_estimate(latent_summary, np.array([[0.5, 0.75, 2.0], [0.5, 0.25, 2.0]]))
    {'cosine': 0.5, 'mse': 0.5, 'r2': 0.75}
    """
    error, cosine, constant = np.asarray(scores).T
    return {
        "cosine": mean(cosine, counts_RS),
        "mse": mean(error, counts_RS),
        "r2": 1 - ratio(counts_RS @ error, counts_RS @ constant),
    }
