"""Planes on which tokens are drawn: their principal components, t-SNE and UMAP, the same for the same tokens."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from foresight_cache.errors import MissingExtra

COMPONENTS = 50
"""Principal components that distances are taken in."""
PERPLEXITY = 30.0
"""Perplexity of t-SNE, the default of van der Maaten and Hinton (Journal of Machine Learning Research 2008)."""
NEIGHBOURS = 15
"""Neighbours of UMAP, its default (McInnes, Healy and Melville, arXiv 1802.03426)."""


def principal_components(features_ND: np.ndarray) -> np.ndarray:
    """Returns the first 50 principal components, or all that there are, of standardised channels, float64 [N, K].

    Each channel has the mean 0 and the deviation 1, so that a few large channels do not decide; constant ones are 0.
    """
    away_ND = features_ND.astype(np.float64) - features_ND.mean(0, dtype=np.float64)
    scale_D = away_ND.std(0)
    standard_ND = away_ND / np.where(scale_D > 0, scale_D, 1.0)
    with threadpool_limits(1):
        found: np.ndarray = PCA(min(COMPONENTS, *standard_ND.shape), svd_solver="full").fit_transform(standard_ND)
    return found


def tsne(components_NK: np.ndarray) -> np.ndarray:
    """Returns t-SNE's plane, float32 [N, 2], from the first two principal components on; of few points PCA's."""
    if len(components_NK) < 10 or components_NK.shape[1] < 2:
        return _first_two(components_NK)
    perplexity = min(PERPLEXITY, (len(components_NK) - 1) / 3)
    own = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=0)
    with threadpool_limits(1):  # sums of several threads differ in their last bits from run to run
        found: np.ndarray = own.fit_transform(components_NK)
    return found


def has_umap() -> bool:
    """Returns whether UMAP is installed."""
    return find_spec("umap") is not None


def umap(components_NK: np.ndarray) -> np.ndarray:
    """Returns UMAP's plane, float32 [N, 2]. Raises `MissingExtra` without the package `umap-learn`."""
    try:
        from umap import UMAP
    except ImportError:
        raise MissingExtra("umap-learn", extra="plates", purpose="UMAP") from None
    neighbours = min(NEIGHBOURS, max(2, len(components_NK) - 1))
    with threadpool_limits(1):
        own: Any = UMAP(n_neighbors=neighbours, random_state=0, n_jobs=1)
        found: np.ndarray = own.fit_transform(components_NK)
    return found


def _first_two(components_NK: np.ndarray) -> np.ndarray:
    plane_N2 = np.zeros((len(components_NK), 2), np.float32)
    plane_N2[:, : components_NK.shape[1]] = components_NK[:, :2]
    return plane_N2
