"""Retrieval of the true vector among candidates, by the nearness of a predicted one."""

import numpy as np
from torch import Tensor
from torch.nn import functional

ROUNDING = 1e-9
"""Difference of cosines below which they count as equal."""


def ranks(vectors_ND: Tensor, candidates_ND: Tensor) -> np.ndarray:
    """Returns for each vector the number of candidates that are nearer to it than its own, by cosine, [N] int64.

    The candidate of row i is the right one for row i. 0 is best and (N - 1) / 2 is chance. A candidate as near as the
    right one counts as nearer, so that vectors that are all alike retrieve nothing.

    >>> import torch
    >>> ranks(torch.tensor([[1.0, 0.1], [1.0, 0.2]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [0, 1]
    """
    left, right = (functional.normalize(rows.cpu().double(), dim=-1) for rows in (vectors_ND, candidates_ND))
    near = left @ right.mT
    as_near: np.ndarray = (near >= near.diagonal()[:, None] - ROUNDING).sum(1).sub(1).numpy()
    return as_near


def mean_rank(ranks_N: np.ndarray) -> float:
    """Returns the mean share of wrong candidates that are nearer than the right one: 0 is best and 0.5 chance.

    >>> mean_rank(np.array([0, 1, 0]))
    0.16666666666666666
    """
    return float(ranks_N.mean() / max(1, len(ranks_N) - 1))
