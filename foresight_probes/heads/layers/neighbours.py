"""Votes of nearest neighbours by cosine similarity."""

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07
"""Temperature of the votes, DINOv2's."""
LEAST_SHARE = 1e-6
"""Share of the votes that counts for a class without any, so that its logit is finite."""
_PIECE = 8192
"""Neighbours that are compared at once."""


def nearest(queries_BD: Tensor, neighbours_RD: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the similarities to the nearest neighbours, the largest first, and their numbers, [B, count] each.

    They are computed in float64, so that the order does not depend on the batch, and are float32.

    >>> queries, neighbours = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    >>> [found.tolist() for found in nearest(queries, neighbours, 2)]
    [[[1.0, 0.7071067690849304]], [[1, 2]]]
    """
    queries_BD = functional.normalize(queries_BD.double(), dim=1)
    pieces = [neighbours_RD[start : start + _PIECE] for start in range(0, max(1, len(neighbours_RD)), _PIECE)]
    similarities = [queries_BD @ functional.normalize(piece.double(), dim=1).T for piece in pieces]
    similarities_BM, numbers_BM = torch.cat(similarities, dim=1).topk(count, dim=1)
    return similarities_BM.float(), numbers_BM


def log_shares(similarities_BM: Tensor, classes_BM: Tensor, classes: int) -> Tensor:
    """Returns the logarithm of each class's share of the votes, [B, classes]; a vote weighs exp(similarity / 0.07).

    >>> shares = log_shares(torch.tensor([[0.9, 0.9, 0.9]]), torch.tensor([[1, 1, 0]]), 3).exp()
    >>> [round(share, 6) for share in shares[0].tolist()]
    [0.333333, 0.666667, 1e-06]
    """
    shares_BC = similarities_BM.new_zeros(len(similarities_BM), classes)
    shares_BC.scatter_add_(1, classes_BM, (similarities_BM / TEMPERATURE).softmax(1))
    return shares_BC.clamp(min=LEAST_SHARE).log()
