"""Whether a found vector is nearer to its own true one than to others."""

import numpy as np
from torch import Tensor
from torch.nn import functional

ROUNDING = 1e-9
"""Difference of cosines that is none."""


def ranks(found: Tensor, candidates: Tensor) -> "np.ndarray":
    """[N] int64, for each found vector the number of candidates that are nearer to it than its own, by cosine.

    Args:
        found: [N, D] float.
        candidates: [N, D] float; that of row i is the right one for row i.

    0 is best and (N - 1) / 2 is chance. A candidate as near as the right one counts as nearer, so that vectors that
    are all alike retrieve nothing.

    >>> import torch
    >>> ranks(torch.tensor([[1.0, 0.1], [1.0, 0.2]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [0, 1]
    """
    left, right = (functional.normalize(each.cpu().double(), dim=-1) for each in (found, candidates))
    near = left @ right.mT
    as_near: np.ndarray = (near >= near.diagonal()[:, None] - ROUNDING).sum(1).sub(1).numpy()
    return as_near


def share_first(places: "np.ndarray") -> float:
    """Share of found vectors whose own is the nearest."""
    return float((places == 0).mean())


def mean_rank(places: "np.ndarray") -> float:
    """Mean share of the wrong candidates that are nearer than the right one: 0 is best and 0.5 chance.

    >>> mean_rank(np.array([0, 1, 0]))
    0.16666666666666666
    """
    return float(places.mean() / max(1, len(places) - 1))
